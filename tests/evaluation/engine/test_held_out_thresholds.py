"""Thresholds that come from held-out images: these images are part of what a result depends on."""

import pickle
from pathlib import Path

import pytest
from hand_made import flat_cell
from miniatures import write_cifar10

from lgm_bench.evaluation.engine.materials import Materials


def identity(root: Path, thresholds: str) -> str:
    cell = flat_cell("resnet8_2ee-cifar10", "tiny_cifar10:TinyCIFAR10", "fgsm", "fgm", 1.0, checkpoint="random")
    return Materials(root, None).target(cell.replace(victim={"kwargs": {"thresholds": thresholds}})).sha256


def brightened(root: Path, image: int) -> Path:
    """The same batches, but for one pixel of a training image, of which the last ten of 40 are held out."""
    path = write_cifar10(root) / "cifar-10-batches-py" / f"data_batch_{image // 8 + 1}"
    batch = pickle.loads(path.read_bytes())
    batch["data"][image % 8, 0] ^= 1
    path.write_bytes(pickle.dumps(batch, protocol=2))
    return root


@pytest.mark.parametrize(("image", "held_out"), [(39, True), (0, False)])
def test_held_out_images_belong_to_the_network_with_quantiles(image: int, held_out: bool, tmp_path: Path) -> None:
    before, after = write_cifar10(tmp_path / "before"), brightened(tmp_path / "after", image)
    assert identity(before, "released") == identity(after, "released") != identity(before, "quantile")
    assert (identity(before, "quantile") == identity(after, "quantile")) == (not held_out)
