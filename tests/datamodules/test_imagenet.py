from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import write_imagenet
from PIL import Image
from torchvision.models import ResNet18_Weights

from datamodules import load_datamodule
from datamodules.imagenet import SYNSETS, ImageNetDataModule
from lgm_bench.errors import ConfigError, DataError

FILES = [
    "n15075141/ILSVRC2012_val_00000009.JPEG",
    "n01440764/ILSVRC2012_val_00000293.JPEG",
    "n01440764/ILSVRC2012_val_00002138.JPEG",
    "n02123045/b.png",
    "n02123045/a.jpg",
]
IDS = [
    "n01440764/ILSVRC2012_val_00000293",
    "n02123045/a",
    "n15075141/ILSVRC2012_val_00000009",
    "n01440764/ILSVRC2012_val_00002138",
    "n02123045/b",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_imagenet(tmp_path / "imagenet", FILES)


def datamodule_of(root: Path, **options) -> ImageNetDataModule:
    datamodule = ImageNetDataModule(root, **{"batch_size": 3} | options)
    datamodule.setup("test")
    return datamodule


def test_labels_are_places_among_all_1000_also_when_most_folders_are_absent(root: Path) -> None:
    datamodule = datamodule_of(root)
    batches = list(datamodule.test_dataloader())
    assert [sample_id for batch in batches for sample_id in batch.ids] == datamodule.sample_ids() == IDS
    assert torch.cat([batch.labels for batch in batches]).tolist() == [0, 281, 999, 0, 281]
    assert [len(batch.ids) for batch in batches] == [3, 2]
    assert datamodule.class_names[281] == "tabby, tabby cat"


def test_classes_agree_with_torchvision() -> None:
    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    agreeing = [ours.startswith(theirs) for ours, theirs in zip(ImageNetDataModule.class_names, names, strict=True)]
    assert sum(agreeing) >= 990  # a few are told apart by an added word there
    assert list(SYNSETS) == sorted(SYNSETS)


@pytest.mark.parametrize("size", [(40, 30), (300, 500), (256, 256)])
def test_images_are_resized_to_256_and_the_centre_is_cut_out(tmp_path: Path, size: tuple[int, int]) -> None:
    root = write_imagenet(tmp_path, ["n01440764/x.png"], size)
    (batch,) = datamodule_of(root).test_dataloader()
    scale = 256 / min(size)
    with Image.open(root / "val" / "n01440764" / "x.png") as image:
        resized = image.resize((int(size[0] * scale), int(size[1] * scale)), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), round((resized.height - 224) / 2)
    expected = np.asarray(resized, np.float32)[top : top + 224, left : left + 224] / np.float32(255)
    torch.testing.assert_close(batch.images[0], torch.from_numpy(expected).permute(2, 0, 1), rtol=0, atol=0)
    assert batch.images.shape == (1, 3, 224, 224)
    assert batch.images.is_contiguous()


def test_grey_palette_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    folder = tmp_path / "val" / "n01440764"
    folder.mkdir(parents=True)
    grey = Image.fromarray(np.full((20, 20), 51, np.uint8))
    grey.save(folder / "grey.png")
    grey.convert("P").save(folder / "palette.png")
    grey.convert("RGBA").save(folder / "transparent.png")
    grey.convert("CMYK").save(folder / "cmyk.jpg", quality=100)
    (batch,) = datamodule_of(tmp_path, batch_size=4).test_dataloader()
    torch.testing.assert_close(batch.images, torch.full((4, 3, 224, 224), 0.2), rtol=0, atol=0.01)


def test_grey_images_of_16_bits_keep_their_brightness(tmp_path: Path) -> None:
    folder = tmp_path / "val" / "n01440764"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((20, 20), 51 * 257, np.uint16)).save(folder / "grey.png")
    (batch,) = datamodule_of(tmp_path).test_dataloader()
    assert torch.equal(batch.images, torch.full((1, 3, 224, 224), 51 / 255))


def test_limit_takes_classes_evenly_and_done_is_left_out(root: Path) -> None:
    datamodule = datamodule_of(root, limit=4)
    assert datamodule.sample_ids() == IDS[:4]
    datamodule.done = {IDS[1], IDS[4]}
    assert [batch.ids for batch in datamodule.test_dataloader()] == [[IDS[0], IDS[2], IDS[3]]]


def test_worker_processes_yield_the_same(root: Path) -> None:
    here, there = (list(datamodule_of(root, num_workers=n).test_dataloader()) for n in (0, 1))
    assert all(torch.equal(a.images, b.images) and a.ids == b.ids for a, b in zip(here, there, strict=True))


def test_train_subset_reads_the_train_folder(root: Path) -> None:
    with pytest.raises(DataError, match=f"{root}/train is not a folder"):
        datamodule_of(root, subset="train")
    (root / "val").rename(root / "train")
    assert datamodule_of(root, subset="train").sample_ids() == IDS


def spoil_nothing_there(val: Path) -> None:
    for path in sorted(val.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_nothing_there, r"val contains no class folders\. Get ILSVRC2012_img_val\.tar .*LGM_BENCH_DATA"),
        (
            lambda val: (val / "n02123046").mkdir(),
            "n02123046 does not have the name of any of the 1000 classes; did you mean",
        ),
        (
            lambda val: (val / "cats").mkdir(),
            "cats does not have the name of any of the 1000 classes. Rename or remove it",
        ),
        (lambda val: (val / "n01443537").mkdir(), "n01443537 is empty"),
        (lambda val: (val / "n01440764" / "x.JPEG.part").touch(), r"x\.JPEG\.part is not an image"),
        (lambda val: (val / "n02123045" / "a.png").touch(), r"a\.jpg and .*a\.png have the same id 'n02123045/a'"),
        (
            lambda val: (val / "ILSVRC2012_val_00000001.JPEG").touch(),
            r"ILSVRC2012_val_00000001\.JPEG lies beside the class folders.*torchvision\.datasets\.ImageNet",
        ),
    ],
)
def test_another_layout_is_refused(root: Path, spoil, message: str) -> None:
    spoil(root / "val")
    with pytest.raises(DataError, match=message):
        datamodule_of(root)


def test_hidden_files_and_scripts_beside_the_folders_are_left_out(root: Path) -> None:
    for name in ("valprep.sh", ".DS_Store", "n01440764/._x.JPEG"):
        (root / "val" / name).touch()
    (root / "val" / ".cache").mkdir()
    assert datamodule_of(root).sample_ids() == IDS


def test_missing_folder_says_where_and_how_to_get_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LGM_BENCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"{tmp_path}/imagenet/val is not a folder.*image-net\.org"):
        datamodule_of(None)


@pytest.mark.parametrize("name", ["n02123045/b.png", "n01440764/ILSVRC2012_val_00000293.JPEG"])
@pytest.mark.parametrize("content", [lambda _: b"", lambda whole: whole[: len(whole) // 2], lambda _: b"\0" * 99])
def test_an_unreadable_image_is_named(root: Path, name: str, content) -> None:
    path = root / "val" / name
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(DataError, match=f"cannot read the image {path}"):
        list(datamodule_of(root).test_dataloader())


@pytest.mark.parametrize("options", [{"limit": 0}, {"batch_size": -1}, {"subset": "holdout"}, {"num_workers": -1}])
def test_senseless_options_are_refused(root: Path, options: dict) -> None:
    with pytest.raises(ConfigError):
        datamodule_of(root, **options)


def test_real_images(samples: Path) -> None:
    datamodule = load_datamodule("imagenet", data_root=samples / "data" / "imagenet", batch_size=30)
    datamodule.setup("test")
    batches = list(datamodule.test_dataloader())
    assert len(datamodule.sample_ids()) == 60
    for batch in batches:
        assert batch.images.shape == (30, 3, 224, 224)
        assert 0 <= batch.images.min() < 0.1 < 0.9 < batch.images.max() <= 1
        assert [SYNSETS[label] for label in batch.labels] == [sample_id.split("/")[0] for sample_id in batch.ids]
