"""The store: import, register, verify, and what happens when the disk or somebody else gets in the way."""

import errno
import os
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock

import victims.checkpoints
from lgm_bench.errors import CheckpointError
from victims import checkpoint_id, checkpoint_status, import_checkpoint, load_victim, save_checkpoint
from victims.checkpoints import default_checkpoint, shipped_store, trained_on, user_store
from victims.names import VICTIMS
from victims.registry import REGISTRY_FILE, CheckpointEntry, StoredSlopes, read_registry, registry_text

NAME = "skipnet20-cifar10"


def official_file(path: Path, seed: int, name: str = NAME) -> Path:
    state = load_victim(name, "random", seed=seed).network.state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    return path


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(value, other[key]) for key, value in a.state_dict().items())


def test_import_then_load_by_name(tmp_path: Path, store: Path) -> None:
    published = official_file(tmp_path / "net.pth.tar", seed=5)
    path = import_checkpoint(NAME, published, source="us", licence="MIT")
    assert path.parent == store
    victim = load_victim(NAME)
    assert same(victim.network, load_victim(NAME, "random", seed=5).network)
    assert not victim.training
    entry = user_store().ready(NAME)
    assert (entry.source, entry.licence, entry.official_file) == ("us", "MIT", "net.pth.tar")
    assert victim.checkpoint_id == entry.sha256 == checkpoint_id(NAME)
    assert not list(store.glob(".*tmp*")), "temporary files are gone"


def test_importing_again_replaces_the_entry(tmp_path: Path) -> None:
    import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    import_checkpoint(NAME, official_file(tmp_path / "b.pth", seed=2))
    assert [entry.official_file for entry in user_store().entries()] == ["b.pth"]
    assert same(load_victim(NAME).network, load_victim(NAME, "random", seed=2).network)


def test_importing_the_same_file_again_changes_nothing(tmp_path: Path, store: Path) -> None:
    published = official_file(tmp_path / "a.pth", seed=1)
    stored = {import_checkpoint(NAME, published) for _ in range(6)}
    assert len(stored) == 1
    assert list(store.glob("*.safetensors")) == list(stored)


def found_slopes(**changes: object) -> StoredSlopes:
    values = {"attack": "fgsm", "gradient": "lgm", "protocol": "standard", "steps": 1, "samples": "9 images"}
    return StoredSlopes.model_validate(values | {"found": "2026-01-02", "slopes": {"8/255": 2.0}} | changes)


def test_slopes_are_registered_beside_the_weights_and_stay_when_these_are_imported_again(tmp_path: Path) -> None:
    published = official_file(tmp_path / "a.pth", seed=1)
    import_checkpoint(NAME, published)
    store, entry = default_checkpoint(NAME)
    first, other = found_slopes(slopes={"4/255": 1.0, "8/255": 2.0}), found_slopes(attack="bim", steps=10)
    store.add_slopes(entry, first)
    store.add_slopes(entry, other)
    import_checkpoint(NAME, published)
    assert default_checkpoint(NAME)[1] == entry.model_copy(update={"slopes": (first, other)})
    import_checkpoint(NAME, official_file(tmp_path / "b.pth", seed=2))
    assert default_checkpoint(NAME)[1].slopes == ()


def test_a_later_search_replaces_what_an_earlier_one_of_its_kind_found(tmp_path: Path) -> None:
    import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    store, entry = default_checkpoint(NAME)
    store.add_slopes(entry, found_slopes(slopes={"4/255": 1.0, "8/255": 2.0}))
    store.add_slopes(entry, found_slopes(protocol="official", slopes={"8/255": 4.0}))
    store.add_slopes(entry, found_slopes(slopes={"8/255": "auto"}))
    stored = [(one.protocol, one.slopes) for one in default_checkpoint(NAME)[1].slopes]
    assert stored == [
        ("standard", {"4/255": 1.0}),
        ("official", {"8/255": 4.0}),
        ("standard", {"8/255": "auto"}),
    ]


def test_slopes_of_weights_that_are_gone_are_refused(tmp_path: Path) -> None:
    import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    store, entry = default_checkpoint(NAME)
    import_checkpoint(NAME, official_file(tmp_path / "b.pth", seed=2))
    with pytest.raises(CheckpointError, match=f"no longer has {entry.file}"):
        store.add_slopes(entry, found_slopes())


def test_normalization_is_kept(tmp_path: Path) -> None:
    published = official_file(tmp_path / "a.pth", seed=1)
    path = import_checkpoint(NAME, published, normalization=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    copy = tmp_path / "elsewhere.safetensors"
    copy.write_bytes(path.read_bytes())
    for checkpoint in (None, path, copy):
        victim = load_victim(NAME, checkpoint)
        assert torch.equal(victim.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))
        assert torch.equal(victim.std.flatten(), torch.tensor([0.4, 0.5, 0.6]))
    asked = load_victim(NAME, std=(1, 1, 1))
    assert asked.std.flatten().tolist() == [1, 1, 1]
    assert torch.equal(asked.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))


def test_a_victims_own_default_normalization_survives_the_round_trip(tmp_path: Path) -> None:
    before = load_victim(NAME, "random")
    save_checkpoint(NAME, before, source="test")
    assert torch.equal(load_victim(NAME).mean, before.mean)
    assert torch.equal(load_victim(NAME).std, before.std)


def test_double_precision_is_not_rounded(tmp_path: Path, float64) -> None:
    published = official_file(tmp_path / "a.pth", seed=1)
    torch.set_default_dtype(torch.float32)
    import_checkpoint(NAME, published)
    torch.set_default_dtype(torch.float64)
    assert same(load_victim(NAME).network, load_victim(NAME, published).network)


@pytest.mark.parametrize("by_path", [False, True])
def test_changed_file(by_path: bool, tmp_path: Path) -> None:
    path = import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"has sha256 [0-9a-f]{64}, but .*registry.yaml says"):
        load_victim(NAME, path if by_path else None)


def test_registered_file_is_gone(tmp_path: Path) -> None:
    import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1)).unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        load_victim(NAME)


@pytest.mark.parametrize("share", [0, 0.0001, 0.5, 0.99])
def test_truncated_safetensors(share: float, tmp_path: Path) -> None:
    path = import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    short = tmp_path / "short.safetensors"
    content = path.read_bytes()
    short.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="truncated or not a safetensors"):
        load_victim(NAME, short)


def test_safetensors_of_another_victim(tmp_path: Path) -> None:
    path = import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    with pytest.raises(CheckpointError, match="does not fit skipnet26-cifar10"):
        load_victim("skipnet26-cifar10", path)


def test_the_publisher_is_known_by_the_files_name(tmp_path: Path) -> None:
    import_checkpoint(
        "skipnet38-cifar10", official_file(tmp_path / "resnet-38-rnn-cifar10.pth.tar", 1, "skipnet38-cifar10")
    )
    assert "ucbdrive/skipnet" in user_store().ready("skipnet38-cifar10").source


def test_another_file_of_a_published_name_is_not_the_published_one(tmp_path: Path) -> None:
    """Names of ResNets end in the first digits of the file's sha256."""
    import_checkpoint("resnet32-cifar10", official_file(tmp_path / "resnet32-d509ac18.th", 1, "resnet32-cifar10"))
    entry = user_store().ready("resnet32-cifar10")
    assert (entry.source, entry.licence) == ("imported from resnet32-d509ac18.th", None)


def test_missing_checkpoint_says_what_to_get() -> None:
    with pytest.raises(CheckpointError) as error:
        load_victim("skipnet110-cifar10")
    message = str(error.value)
    assert "resnet-110-rnn-cifar10.pth.tar" in message
    assert "ucbdrive/skipnet" in message
    assert "lgm-bench import skipnet110-cifar10 resnet-110-rnn-cifar10.pth.tar" in message


def test_full_disk(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))
    before = sorted(path.name for path in store.iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    published = official_file(tmp_path / "b.pth", seed=2)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"cannot write .*store.*No space left on device"):
        import_checkpoint(NAME, published)
    assert sorted(path.name for path in store.iterdir()) == before
    assert same(load_victim(NAME).network, load_victim(NAME, "random", seed=1).network)


def test_really_full_disk() -> None:
    """/dev/full refuses every write."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    victim = load_victim(NAME, "random")
    with pytest.raises(CheckpointError, match="cannot write"):
        save_checkpoint(NAME, victim, source="test", out="/dev/full")


def test_locked_store(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(victims.checkpoints, "LOCK_SECONDS", 0.05)
    store.mkdir()
    with FileLock(store / ".lock"), pytest.raises(CheckpointError, match="another run has locked"):
        import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("checkpoints: [", "not valid YAML"),
        ("checkpoints: [{victim: x, source: y, official_file: z, licnce: MIT}]", "checkpoints.0.licnce"),
        ("checkpoints: [{victim: x, source: y, file: a.safetensors}]", "together"),
        ("checkpoints: [{victim: x, source: y, file: ../a.safetensors, sha256: " + "0" * 64 + "}]", "file"),
        ("checkpoints: [{victim: x, source: y}]", "official_file"),
        ("- 1", "top level"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_broken_registry(text: str, message: str, store: Path) -> None:
    store.mkdir()
    (store / REGISTRY_FILE).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_victim(NAME)


def test_user_entries_win_over_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped"
    import_checkpoint(NAME, official_file(tmp_path / "a.pth", seed=1), out=shipped)
    monkeypatch.setattr(victims.checkpoints, "shipped_store", lambda: victims.checkpoints.CheckpointStore(shipped))
    assert same(load_victim(NAME).network, load_victim(NAME, "random", seed=1).network)
    import_checkpoint(NAME, official_file(tmp_path / "b.pth", seed=2))
    assert same(load_victim(NAME).network, load_victim(NAME, "random", seed=2).network)


def test_status_of_every_victim(tmp_path: Path) -> None:
    import_checkpoint("dynconv14-cifar10", official_file(tmp_path / "a.pth", seed=1, name="dynconv14-cifar10"))
    status = {entry.name: entry for entry in checkpoint_status()}
    assert list(status) == list(VICTIMS)
    assert status["dynconv14-cifar10"].ready
    assert not status["skipnet110-cifar10"].ready
    assert "resnet-110-rnn-cifar10.pth.tar" in status["skipnet110-cifar10"].detail


def test_shipped_registry_is_sound_and_complete() -> None:
    store = shipped_store()
    entries = store.entries()
    official = {entry.official_file for entry in entries if entry.file is None}
    assert {
        "resnet-110-rnn-cifar10.pth.tar",
        "resnet-101-rnn-imagenet.pth.tar",
        "resnet110-1d1ed7c2.th",
        "model_save_backup.pt",
        "exp/cifar/resnet32/sparse05/checkpoint_best.pth",
        "exp/imagenet/resnet101/sparse05/checkpoint_best.pth",
        "resnet32-d509ac18.th",
        "resnet101-5d3b4d8f.pth",
        "MinkUNet34C-train-conv1-5.pth",
        "Mink16UNet34-stanford-conv1-5.pth",
    } <= official
    for entry in entries:
        if entry.file:
            store.content(entry)  # verifies the sha256
            assert entry.licence
            assert entry.training is None or (store.folder / entry.training).exists()


def test_registry_text_reads_back(tmp_path: Path) -> None:
    entries = [
        CheckpointEntry(victim="a", official_file="x.pth", source="Ä: b # c"),
        CheckpointEntry(
            victim="b", file="b.safetensors", sha256="0" * 64, source="s", licence="MIT", slopes=(found_slopes(),)
        ),
    ]
    path = tmp_path / REGISTRY_FILE
    path.write_text(registry_text(entries), encoding="utf-8")
    assert read_registry(path) == entries
    assert set(yaml.safe_load(path.read_text())) == {"checkpoints"}


def test_store_location(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LGM_BENCH_CHECKPOINTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_store().folder == tmp_path / "lgm-bench" / "checkpoints"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert user_store().folder == Path.home() / ".local/share/lgm-bench/checkpoints"


def test_the_training_record_says_on_which_data() -> None:
    assert trained_on("minkunet14-scannet", None) == "rooms-scannet"
    assert trained_on("minkunet14-scannet", "random") is None
    assert trained_on("resnet20-cifar10", None) is None, "published weights have no record"
