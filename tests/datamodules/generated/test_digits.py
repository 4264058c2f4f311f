"""The embedded digits: written once in CIFAR-10's layout, read as CIFAR-10 is, the same on every machine."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10

from datamodules import load_datamodule
from datamodules.generated.digits import DigitsDataModule, enlarged
from lgm_bench.errors import ConfigError, DataError

BATCHES = "cifar-10-batches-py"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def whole(subset: str, **options) -> tuple[DigitsDataModule, torch.Tensor, torch.Tensor]:
    datamodule = DigitsDataModule(subset=subset, batch_size=300, **options)
    datamodule.setup("test")
    batches = list(datamodule.test_dataloader())
    return datamodule, torch.cat([b.images for b in batches]), torch.cat([b.labels for b in batches])


def test_sizes_and_ranges() -> None:
    for subset, size in (("test", 500), ("holdout", 200), ("train", 1297)):
        datamodule, images, labels = whole(subset)
        assert images.shape == (size, 3, 32, 32)
        assert (images.min().item(), images.max().item()) == (0, 1)
        assert len(set(datamodule.sample_ids())) == len(labels) == size
    assert list(datamodule.class_names) == [str(digit) for digit in range(10)]


def test_every_digit_of_scikit_learn_is_in_one_split_with_its_label() -> None:
    source = load_digits()
    expected = {
        image.astype(np.uint8).tobytes(): int(label) for image, label in zip(source.images, source.target, strict=True)
    }
    by_enlarged = {
        enlarged(np.frombuffer(pixels, np.uint8).reshape(1, 8, 8), 4)[0].tobytes(): label
        for pixels, label in expected.items()
    }
    found: dict[bytes, int] = {}
    for subset in ("test", "train"):
        _, images, labels = whole(subset)
        grey = (images[:, 0] * 255).round().byte().numpy()
        assert torch.equal(images[:, 0], images[:, 1])
        assert torch.equal(images[:, 0], images[:, 2])
        found |= {image.tobytes(): int(label) for image, label in zip(grey, labels, strict=True)}
    assert found == by_enlarged
    assert len(found) == 1797


def test_splits_are_stratified_and_a_limit_takes_classes_evenly() -> None:
    for subset, each in (("test", 50), ("holdout", 20)):
        _, _, labels = whole(subset)
        assert labels.bincount().tolist() == [each] * 10
        assert labels[:10].tolist() == list(range(10))
    assert whole("test", limit=20)[2].tolist() == [*range(10), *range(10)]


@pytest.mark.parametrize("factor", [1, 4, 7, 14])
def test_enlarging_is_bilinear(factor: int) -> None:
    images = load_digits().images[:50]
    expected = F.interpolate(torch.from_numpy(images)[:, None], scale_factor=factor, mode="bilinear")[:, 0] * 255 / 16
    torch.testing.assert_close(torch.from_numpy(enlarged(images, factor)).double(), expected, rtol=0, atol=0.5 + 1e-9)


def test_training_shifts_but_never_mirrors() -> None:
    datamodule = DigitsDataModule(batch_size=256)
    datamodule.setup("fit")
    batch = next(iter(datamodule.train_dataloader()))
    everything, images, _ = whole("train")
    plain = dict(zip(everything.sample_ids(), images, strict=True))
    assert not set(batch.ids) & set(whole("holdout")[0].sample_ids())
    for image, sample_id in zip(batch.images[:64], batch.ids, strict=False):
        original = F.pad(plain[sample_id][None, :1], (4, 4, 4, 4))
        windows = F.unfold(original, 32)[0].T  # (81, 1024)
        assert (windows == image[0].flatten()).all(1).any()


def test_written_batches_open_with_torchvision(cache: Path, monkeypatch) -> None:
    _, images, labels = whole("test")
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda _: True)
    monkeypatch.setitem(CIFAR10.meta, "md5", None)
    reader = CIFAR10(str(cache / "digits"), train=False)
    assert torch.equal(torch.from_numpy(reader.data), (images * 255).round().byte().permute(0, 2, 3, 1))
    assert reader.targets == labels.tolist()


def test_written_once(cache: Path) -> None:
    whole("test")
    times = {path: path.stat().st_mtime_ns for path in (cache / "digits").rglob("*")}
    assert len([path for path in times if path.is_file()]) == 7 + 1  # and their sums
    whole("train")
    assert {path: path.stat().st_mtime_ns for path in (cache / "digits").rglob("*")} == times
    assert [path.name for path in cache.iterdir() if path.name != ".digits.lock"] == ["digits"]


def flip_a_bit(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("batches.meta", lambda path: path.unlink()),
        ("data_batch_3", lambda path: path.write_bytes(path.read_bytes()[:1000])),
        ("test_batch", flip_a_bit),
    ],
    ids=["removed", "truncated", "one bit flipped"],
)
def test_a_damaged_file_is_written_again(cache: Path, name: str, spoil) -> None:
    before = whole("test")[1], whole("train")[1]
    spoil(cache / "digits" / BATCHES / name)
    assert all(torch.equal(a, b) for a, b in zip(before, (whole("test")[1], whole("train")[1]), strict=True))


def test_a_cache_that_cannot_be_written_is_explained(cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot write generated data to .*digits.*LGM_BENCH_CACHE"):
        DigitsDataModule().setup("test")


def test_several_may_come_first() -> None:
    start = threading.Barrier(3)

    def read(_: int) -> int:
        start.wait()
        return len(whole("test")[2])

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, range(3))) == [500, 500, 500]


def test_registered_and_strict_about_options(tmp_path: Path) -> None:
    datamodule = load_datamodule("digits", data_root=tmp_path / "cifar10", batch_size=7)
    datamodule.setup("test")
    assert not (tmp_path / "cifar10").exists()
    with pytest.raises(ConfigError, match="digits has no subset 'tset'"):
        DigitsDataModule(subset="tset")


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LGM_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert DigitsDataModule().data_root == tmp_path / "lgm-bench" / "digits"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert DigitsDataModule().data_root == Path.home() / ".cache" / "lgm-bench" / "digits"
