"""Every point victim: shapes, scenes that do not mix, published files in every layout, errors about wrong ones."""

from pathlib import Path

import pytest
import torch
from tiny_clouds import scene_of, tiny_cloud
from torch import Tensor, nn

from lgm_bench.errors import CheckpointError
from lgm_bench.sparse import SparseConv3d
from lgm_bench.voxels import IGNORED
from victims import import_checkpoint, load_victim
from victims.names import VICTIMS
from victims.point_victim import majority

SETS = ("scannet", "s3dis", "semantickitti", "modelnet40")
NAMES = [name for name in VICTIMS if name.endswith(SETS)]
SMALL = ["minkunet14-scannet", "minkunet14-s3dis", "cylinder3d-small-semantickitti", "minknet-small-modelnet40"]
CLASSES = {"scannet": 20, "s3dis": 13, "semantickitti": 20, "modelnet40": 40}
SIZES = (300, 250)


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_logits_of_points_or_shapes(name: str) -> None:
    victim = load_victim(name, "random")
    logits = victim(tiny_cloud(name, SIZES))
    rows = len(SIZES) if victim.task == "classification" else sum(SIZES)
    assert logits.shape == (rows, CLASSES[name.rpartition("-")[2]]) == (rows, victim.num_classes)
    assert logits.isfinite().all()
    assert len(logits.unique(dim=0)) > 1


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_scenes_do_not_mix(name: str, float64: None) -> None:
    victim, cloud = load_victim(name, "random"), tiny_cloud(name, SIZES)
    together = victim(cloud)
    for number in range(len(SIZES)):
        chosen = cloud.scene == number if victim.task == "segmentation" else torch.arange(len(SIZES)) == number
        torch.testing.assert_close(together[chosen], victim(scene_of(cloud, number)))
    assert not torch.allclose(together[: SIZES[1]], victim(tiny_cloud(name, SIZES, seed=1))[: SIZES[1]])


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_the_order_of_a_scenes_points_does_not_matter(name: str, float64: None) -> None:
    victim, cloud = load_victim(name, "random"), tiny_cloud(name, SIZES[:1])
    order = torch.randperm(SIZES[0], generator=torch.Generator().manual_seed(0))
    logits = victim(cloud)
    shuffled = victim(cloud._replace(points=cloud.points[order], features=cloud.features[order]))
    torch.testing.assert_close(shuffled, logits[order] if victim.task == "segmentation" else logits)


@pytest.mark.parametrize("name", SMALL)
def test_scored_points_train_all_weights(name: str) -> None:
    victim, cloud = load_victim(name, "random").train().requires_grad_(True), tiny_cloud(name, SIZES)
    labels = torch.arange(len(SIZES) if victim.task == "classification" else sum(SIZES)) % 5
    logits, targets = victim.scored(cloud, labels)
    assert len(logits) == len(targets)
    nn.functional.cross_entropy(logits, targets).backward()
    assert [key for key, value in victim.network.named_parameters() if value.grad is None] == []


def test_the_commonest_label_of_a_voxel() -> None:
    labels = torch.tensor([3, 1, 3, 2, 1, IGNORED, IGNORED, 0])
    row = torch.tensor([0, 0, 0, 1, 1, 3, 3, 3])
    assert majority(labels, row, 4).tolist() == [3, 1, IGNORED, IGNORED]


def official(victim: nn.Module, *, spconv: int | None) -> dict[str, Tensor]:
    """Return other weights as MinkowskiEngine (spconv None), spconv 1 or spconv 2 would have saved them."""
    state = {}
    for key, value in victim.network.state_dict().items():
        module, _, kind = key.rpartition(".")
        layer = victim.network.get_submodule(module)
        value = value + 0.1 if value.is_floating_point() else value + 1
        if not isinstance(layer, SparseConv3d):
            state[key] = value
        elif spconv is not None:
            state[key] = spconv_kernel(value, layer.kernel_size, spconv) if kind == "weight" else value
        elif kind == "weight":
            state[f"{module}.kernel"] = value.squeeze(0)
        else:
            state[key] = value[None]
    return state


def spconv_kernel(weight: Tensor, size: tuple[int, int, int], version: int) -> Tensor:
    """Return offsets that run x fastest (K, C_in, C_out) as a grid whose first axis is x."""
    grid = weight.view(*reversed(size), *weight.shape[1:]).transpose(0, 2)
    return grid.contiguous() if version == 1 else grid.permute(4, 0, 1, 2, 3).contiguous()


def layouts(name: str) -> list[int | None]:
    """Return the versions of spconv, None for MinkowskiEngine; the corrected variant is laid out as the other one."""
    if name.endswith("semantickitti"):
        return [2] if "corrected" in name else [1, 2]
    return [None]


@pytest.mark.parametrize(("name", "spconv"), [(name, spconv) for name in NAMES for spconv in layouts(name)])
def test_published_layouts_are_imported(name: str, spconv: int | None, tmp_path: Path) -> None:
    victim, path = load_victim(name, "random", seed=1), tmp_path / "published.pth"
    before = {key: value.clone() for key, value in victim.network.state_dict().items()}
    state = official(victim, spconv=spconv)
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    import_checkpoint(name, path)
    path.unlink()
    found = load_victim(name).network.state_dict()
    assert list(found) == list(before)
    for key, value in before.items():
        assert torch.equal(found[key], value + 0.1 if value.is_floating_point() else value + 1), key


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state, key: state.pop(key), r"missing \(1\)"),
        (lambda state, key: state.update({"conv9.kernel": state[key]}), r"unexpected \(1\): conv9"),
        (lambda state, key: state.update({key: state[key][..., :-1]}), r"wrong shape \(1\)"),
        (lambda state, key: state.update({key: state[key] * torch.nan}), r"NaN or infinite \(1\)"),
    ],
)
def test_wrong_files_are_refused(name: str, change, message: str, tmp_path: Path) -> None:
    victim, path = load_victim(name, "random"), tmp_path / "published.pth"
    state = official(victim, spconv=layouts(name)[-1])
    key = max((key for key in state if state[key].ndim in (3, 5)), key=lambda key: state[key].numel())
    change(state, key)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=message) as error:
        import_checkpoint(name, path)
    assert name in str(error.value)


def test_the_other_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.pth"
    torch.save(official(load_victim("minkunet18-scannet", "random"), spconv=None), path)
    with pytest.raises(CheckpointError, match=r"does not fit minkunet14-scannet.*\n.*unexpected \(\d+\): block1\.1\."):
        import_checkpoint("minkunet14-scannet", path)


def test_as_many_parameters_as_published() -> None:
    count = sum(value.numel() for value in load_victim("minkunet34c-scannet", "random").parameters())
    assert count / 1e6 == pytest.approx(37.9, abs=0.05)
