"""Reading published files: every way in which a file can be wrong is one error that says how."""

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lgm_bench.errors import CheckpointError
from victims import load_victim
from victims.official import SHOWN, load_into, read_official

NAME = "dynconv8-cifar10"


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return load_victim(NAME, "random", seed=1).network.state_dict()


def save(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def same_weights(path: Path, state: dict[str, torch.Tensor]) -> bool:
    loaded = load_victim(NAME, path).network.state_dict()
    return all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".th"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("zip_format", [True, False])
def test_official_layouts(suffix, prefix, nested, zip_format, state, tmp_path: Path) -> None:
    content = {prefix + key: value for key, value in state.items()}
    path = tmp_path / f"file{suffix}"
    saved = {"epoch": 3, "state_dict": content} if nested else content
    torch.save(saved, path, _use_new_zipfile_serialization=zip_format)
    assert same_weights(path, state)


@pytest.mark.parametrize("core", ["core", "_core"])
def test_a_score_of_numpy_beside_the_weights(core: str, state, tmp_path: Path) -> None:
    """MinkUNet's published files hold their best mIoU so, pickled by NumPy 1."""
    path = tmp_path / "file.pth"
    content = {"state_dict": state, "best_val": np.float64(72.2), "best_val_iter": np.int64(3)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    old = f"cnumpy.{core}.multiarray\n".encode()
    path.write_bytes(re.sub(rb"cnumpy\._?core\.multiarray\n", old, path.read_bytes()))
    assert old in path.read_bytes()
    assert same_weights(path, state)


def test_an_array_of_numpy_is_more_than_a_number(state, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"it calls numpy\._?core\.multiarray\._reconstruct"):
        read_official(save({"state_dict": state, "ious": np.zeros(2)}, tmp_path / "file.pth"))


def test_last_checkpoint_of_a_training_run(state, tmp_path: Path) -> None:
    """Lightning's, of a victim: all keys begin with the attribute that holds the network."""
    content = {"epoch": 1, "state_dict": {f"network.{key}": value for key, value in state.items()}, "callbacks": {}}
    assert same_weights(save(content, tmp_path / "last.ckpt"), state)


@pytest.mark.parametrize("prefix", ["model.", "_orig_mod.", "module._orig_mod.", "module.model."])
def test_prefixes_of_wrappers_are_left_out(state, prefix: str, tmp_path: Path) -> None:
    assert same_weights(save({prefix + key: value for key, value in state.items()}, tmp_path / "wrapped.pth"), state)


@pytest.mark.parametrize("entry", ["model", "model_state_dict", "model_state", "net"])
def test_nested_state_dicts(state, entry: str, tmp_path: Path) -> None:
    assert same_weights(save({entry: state, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "nested.pth"), state)
    twice = {"model": {"state_dict": {f"module.{key}": value for key, value in state.items()}}}
    assert same_weights(save(twice, tmp_path / "twice.pth"), state)


def test_averaged_weights_are_mentioned_beside_others_and_used_where_they_are_alone(state, tmp_path, caplog) -> None:
    averaged = {key: value + 1 for key, value in state.items()}
    assert same_weights(save({"state_dict": state, "state_dict_ema": averaged}, tmp_path / "both.pth"), state)
    assert "both.pth also contains averaged weights, state_dict_ema" in caplog.text
    assert same_weights(save({"state_dict_ema": averaged}, tmp_path / "one.pth"), averaged)


class Wrapped(nn.Module):
    """A network whose own keys begin as those of a `DataParallel` do."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_network_that_calls_a_part_of_it_module(prefix: str, tmp_path: Path) -> None:
    name = f"{__name__}:Wrapped"
    weights = load_victim(name, "random", seed=5).network.state_dict()
    path = save({prefix + key: value for key, value in weights.items()}, tmp_path / "own.pth")
    assert torch.equal(load_victim(name, path).network.module[1].weight, weights["module.1.weight"])


def test_old_files_without_batch_counters(state, tmp_path: Path) -> None:
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert same_weights(save(old, tmp_path / "old.pth"), old)


def test_one_missing_batch_counter_is_not_an_old_file(state, tmp_path: Path) -> None:
    del state["bn1.num_batches_tracked"]
    with pytest.raises(CheckpointError, match=r"missing \(1\): bn1.num_batches_tracked"):
        load_victim(NAME, save(state, tmp_path / "x.pth"))


def test_all_problems_in_one_error(state, tmp_path: Path) -> None:
    state["layer1.0.conv_1.weight"] = state.pop("layer1.0.conv1.weight")
    state["extra"] = torch.zeros(1)
    state["fc.weight"] = torch.zeros(100, 64)
    state["bn1.weight"] = torch.full_like(state["bn1.weight"], float("nan"))
    state["fc.bias"] = torch.zeros(10, dtype=torch.int32)
    with pytest.raises(CheckpointError) as error:
        load_victim(NAME, save({"state_dict": state}, tmp_path / "x.pth"))
    message = str(error.value)
    assert "missing (1): layer1.0.conv1.weight (the file has layer1.0.conv_1.weight)" in message
    assert "unexpected (2): layer1.0.conv_1.weight, extra" in message
    assert "wrong shape (1): fc.weight (100, 64) instead of (10, 64)" in message
    assert "NaN or infinite (1): bn1.weight" in message
    assert "not floating point (1): fc.bias (int32)" in message
    assert "x.pth does not fit dynconv8-cifar10" in message


def test_another_network_is_a_short_error(tmp_path: Path) -> None:
    other = load_victim("dynconv20-cifar10", "random").network.state_dict()
    with pytest.raises(CheckpointError) as error:
        load_victim(NAME, save(other, tmp_path / "x.pth"))
    assert re.search(r"unexpected \(\d+\): .* and \d+ more", str(error.value))
    assert str(error.value).count(",") < 6 * SHOWN


def test_a_failed_load_changes_nothing(state, tmp_path: Path) -> None:
    victim = load_victim(NAME, "random", seed=2)
    before = {key: value.clone() for key, value in victim.network.state_dict().items()}
    del state["fc.bias"]
    with pytest.raises(CheckpointError):
        load_into(victim.network, state, name=NAME, path=tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in victim.network.state_dict().items())


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (Path.touch, (marker,))

    path = save({"state_dict": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(
        CheckpointError, match=r"evil.pth is damaged or holds more than tensors \(it calls (builtins\.)?getattr\)"
    ):
        read_official(path)
    assert not marker.exists()


@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_truncated_file(share: float, zip_format: bool, state, tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zip_format)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"short.pth is (truncated|damaged)"):
        read_official(path)


def test_file_cut_anywhere_in_its_first_part(state, tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for length in range(1, 1500, 7):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"short.pth is (truncated|damaged)"):
            read_official(path)


def test_text_file_and_empty_dict_and_list(tmp_path: Path) -> None:
    text = tmp_path / "readme.pth"
    text.write_text("404: Not Found")
    with pytest.raises(CheckpointError, match=r"readme.pth is"):
        read_official(text)
    for content in ({}, [torch.zeros(2)], {"state_dict": {}}):
        with pytest.raises(CheckpointError, match="holds no state dict"):
            read_official(save(content, tmp_path / "empty.pth"))
    with pytest.raises(CheckpointError, match="no plain tensors: epoch"):
        read_official(save({"epoch": 1, "conv1.weight": torch.zeros(1)}, tmp_path / "mixed.pth"))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere.pth does not exist"):
        load_victim(NAME, tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_victim(NAME, tmp_path)


def test_skip_paths_are_listed_twice_and_both_must_be_there(tmp_path: Path) -> None:
    state = load_victim("skipnet20-cifar10", "random").network.state_dict()
    assert state["group2_ds0.0.weight"].data_ptr() == state["group2_layer0.downsample.0.weight"].data_ptr()
    del state["group2_ds0.0.weight"]
    with pytest.raises(CheckpointError, match=r"missing \(1\): group2_ds0.0.weight"):
        load_victim("skipnet20-cifar10", save(state, tmp_path / "x.pth"))


def test_where_the_two_copies_differ_the_blocks_counts(tmp_path: Path) -> None:
    state = load_victim("skipnet20-cifar10", "random").network.state_dict()
    state["group2_ds0.0.weight"] = torch.zeros_like(state["group2_ds0.0.weight"])
    loaded = load_victim("skipnet20-cifar10", save(state, tmp_path / "x.pth")).network
    expected = state["group2_layer0.downsample.0.weight"]
    assert expected.any()
    assert torch.equal(loaded.state_dict()["group2_ds0.0.weight"], expected)


def test_torchvision_layout(tmp_path: Path) -> None:
    """Its first files are plain state dicts of torch 0.3, without batch counters."""
    state = load_victim("resnet18-imagenet", "random", seed=3).network.state_dict()
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    victim = load_victim("resnet18-imagenet", save(old, tmp_path / "resnet18.pth"))
    assert torch.equal(victim.network.fc.weight, state["fc.weight"])


def test_unreadable_file(state, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(state, tmp_path / "x.pth")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", refuse)  # root may read everything, so permissions cannot be taken away
    with pytest.raises(CheckpointError, match=r"cannot read .*Permission denied"):
        read_official(path)


def test_a_small_file_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    plain = save({"state_dict": {"weight": torch.zeros(2_000_000)}}, tmp_path / "plain.pth")
    assert read_official(plain)["weight"].shape == (2_000_000,)
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match=r"bomb\.pth has [\d,]+ bytes and asks for 8,00\d,\d{3}"):
        read_official(bomb)


def test_published_resnet_with_one_key_renamed(samples: Path, tmp_path: Path) -> None:
    published = samples / "weights" / "resnet32-d509ac18.th"
    content = torch.load(published, map_location="cpu", weights_only=True)
    content["state_dict"]["module.fc.weight"] = content["state_dict"].pop("module.linear.weight")
    with pytest.raises(CheckpointError, match=r"missing \(1\): linear.weight"):
        load_victim("resnet32-cifar10", save(content, tmp_path / "renamed.th"))
    shutil.copy(published, tmp_path / "copy.th")
    load_victim("resnet32-cifar10", tmp_path / "copy.th")


def test_an_old_file_that_asks_for_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"weight": torch.zeros(300)}, path, _use_new_zipfile_serialization=False)
    content, many = path.read_bytes(), b"J" + (2_000_000_000).to_bytes(4, "little")
    assert content.count(b"M\x2c\x01") == 2, "300 elements, of the storage and of the tensor"
    path.write_bytes(content.replace(b"M\x2c\x01", many))
    with pytest.raises(CheckpointError, match=r"old\.pth is truncated"):
        read_official(path)
