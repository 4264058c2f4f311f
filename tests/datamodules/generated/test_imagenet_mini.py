"""The digits as ImageNet: written once as folders of synsets, read as ImageNet is, the same on every machine."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from datamodules import load_datamodule
from datamodules.generated.digits import enlarged, split_digits
from datamodules.generated.imagenet_mini import SYNSETS, ImageNetMiniDataModule
from datamodules.imagenet import ImageNetDataModule
from lgm_bench.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that several tests read, and none changes."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(written: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(written))
    return written


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def whole(subset: str, **options) -> tuple[ImageNetMiniDataModule, torch.Tensor, torch.Tensor]:
    datamodule = ImageNetMiniDataModule(subset=subset, batch_size=300, **options)
    datamodule.setup("test")
    batches = list(datamodule.test_dataloader())
    return datamodule, torch.cat([b.images for b in batches]), torch.cat([b.labels for b in batches])


def test_sizes_ranges_and_an_even_share_of_every_class() -> None:
    for subset, size, least in (("test", 500, 50), ("holdout", 200, 20), ("train", 1297, 124)):
        datamodule, images, labels = whole(subset)
        assert images.shape == (size, 3, 56, 56)
        assert (images.min().item(), images.max().item()) == (0, 1)
        assert labels.bincount().min() == least
        assert len(set(datamodule.sample_ids())) == size
    assert whole("test", limit=20)[2].tolist() == [*range(10), *range(10)]


def test_files_lie_and_are_named_as_in_imagenet() -> None:
    datamodule = ImageNetMiniDataModule()
    datamodule.setup("fit")
    datamodule.setup("test")
    for split, first in (("val", "ILSVRC2012_val_00000001.JPEG"), ("train", "n13742358_00001.JPEG")):
        folders = sorted(path.name for path in (datamodule.data_root / split).iterdir())
        assert folders == sorted(SYNSETS) == list(SYNSETS)
        with Image.open(datamodule.data_root / split / "n13742358" / first) as image:
            assert (image.format, image.size) == ("JPEG", (160, 128))
    assert datamodule.class_names[:2] == ("zero", "one")


def test_torchvision_and_our_imagenet_reader_see_the_same_tree() -> None:
    datamodule, _, labels = whole("test")
    official = ImageFolder(str(datamodule.data_root / "val"))
    expected = {
        str(Path(path).relative_to(datamodule.data_root / "val").with_suffix("")): y for path, y in official.imgs
    }
    assert dict(zip(datamodule.sample_ids(), labels.tolist(), strict=True)) == expected
    assert list(official.class_to_idx) == list(SYNSETS)
    assert ImageNetMiniDataModule.test_dataloader is ImageNetDataModule.test_dataloader
    with pytest.raises(DataError, match="not have the name of any of the 1000 classes"):
        ImageNetDataModule(datamodule.data_root).setup("test")


@pytest.mark.parametrize(("subset", "train"), [("test", False), ("train", True)])
def test_images_show_the_digits_of_scikit_learn(subset: str, train: bool) -> None:
    _, images, labels = whole(subset)
    digits, expected = split_digits()[train]
    small = torch.from_numpy(enlarged(digits, 7)).float() / 255
    by_label = {label: small[torch.from_numpy(expected) == label] for label in range(10)}
    of_class = {label: images[labels == label] for label in range(10)}
    for label, originals in by_label.items():
        found = of_class[label]
        assert torch.equal(found[:, 0], found[:, 1])
        assert (found[:, 0] - originals).abs().mean() < 0.01  # JPEG, and two ways to enlarge by 7


def test_the_same_digits_are_tested_on_as_at_cifar10s_size() -> None:
    datamodule, _, labels = whole("test")
    digits = load_datamodule("digits", batch_size=500)
    digits.setup("test")
    (batch,) = digits.test_dataloader()
    assert torch.equal(batch.labels, labels)
    assert len(batch.ids) == len(datamodule.sample_ids())


def test_training_shifts_but_never_mirrors_and_leaves_the_held_out_ones_to_validation() -> None:
    datamodule = ImageNetMiniDataModule(batch_size=256)
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    assert len(loader.sampler) == 1097
    batch = next(iter(loader))
    everything, images, _ = whole("train")
    plain = dict(zip(everything.sample_ids(), images, strict=True))
    for image, sample_id in zip(batch.images[:32], batch.ids, strict=False):
        windows = torch.nn.functional.unfold(torch.nn.functional.pad(plain[sample_id][None, :1], (4, 4, 4, 4)), 56)[0].T
        assert (windows == image[0].flatten()).all(1).any()
    validated = [sample_id for part in datamodule.val_dataloader() for sample_id in part.ids]
    assert validated == whole("holdout")[0].sample_ids()
    assert not set(batch.ids) & set(validated)


def flip_a_bit(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:100]), flip_a_bit],
    ids=["removed", "truncated", "one bit flipped"],
)
def test_a_damaged_image_is_written_again_and_no_other(own_cache: Path, spoil) -> None:
    before = whole("test")[1]
    val = own_cache / "imagenet-mini-v1" / "val"
    times = {path: path.stat().st_mtime_ns for path in val.rglob("*.JPEG")}
    damaged = sorted(times)[123]
    spoil(damaged)
    assert torch.equal(whole("test")[1], before)
    changed = {path for path in val.rglob("*.JPEG") if path.stat().st_mtime_ns != times[path]}
    assert changed == {damaged}
    assert not (val.parent / "train").exists()


def test_a_foreign_folder_is_named_with_what_to_do(own_cache: Path) -> None:
    whole("test", limit=1)
    (own_cache / "imagenet-mini-v1" / "val" / "n01440764").mkdir()
    with pytest.raises(DataError, match=r"n01440764 does not have the name of any of the 10 classes"):
        whole("test")
    (own_cache / "imagenet-mini-v1" / "val" / "n01440764").rmdir()
    (own_cache / "imagenet-mini-v1" / "val" / "x.JPEG").touch()
    with pytest.raises(DataError, match=r"so its class is unknown\. Remove .*imagenet-mini-v1; .* generated again"):
        whole("test")


def test_a_cache_that_cannot_be_written_is_explained(own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot write generated data to .*imagenet-mini.*LGM_BENCH_CACHE"):
        ImageNetMiniDataModule().setup("test")


def test_the_files_are_the_same_at_every_writing(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole("test", limit=1)
    monkeypatch.setenv("LGM_BENCH_CACHE", str(tmp_path / "another"))
    whole("test", limit=1)
    sums = [(folder / "imagenet-mini-v1" / "test.sha256").read_text() for folder in (own_cache, tmp_path / "another")]
    assert sums[0] == sums[1]
    assert len(sums[0].splitlines()) == 1 + 500


def test_strict_about_options(tmp_path: Path) -> None:
    load_datamodule("imagenet-mini", data_root=tmp_path / "imagenet", batch_size=7).setup("test")
    assert not (tmp_path / "imagenet").exists()
    with pytest.raises(ConfigError, match="imagenet-mini has no subset 'tset'"):
        ImageNetMiniDataModule(subset="tset")
