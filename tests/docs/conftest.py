"""The user of the documentation: a home with miniature data and files that the pages speak of."""

import os
import sys
from pathlib import Path

import pytest
import torch
from documented import PAGES, named_files
from miniatures import write_cifar10
from street_and_shape_files import write_text_shapes

from victims import load_victim

CHECKPOINTS = {
    "resnet32-d509ac18.th": "resnet32-cifar10",
    "resnet-110-rnn-cifar10.pth.tar": "skipnet110-cifar10",
    "my.pth": "dynconv8-cifar10",
}
"""Files in the published layout that the pages import; untrained weights stand for the published ones."""

SHORT_RECIPE = "objective: cross_entropy\nepochs: 1\nbatch_size: 10\nlearning_rate: 0.01\n"


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the pages' commands run, with their files and a home beside it."""
    base = tmp_path_factory.mktemp("user")
    home, folder = base / "home", base / "work"
    folder.mkdir()
    write_cifar10(home / "data" / "cifar10", train=60, test=12)
    write_text_shapes(home / "data" / "modelnet40", ["airplane_0001", "airplane_0627"])
    for page in PAGES:
        for name, text in named_files(page).items():
            (folder / name).write_text(text)
    (folder / "short.yaml").write_text(SHORT_RECIPE)
    for name, victim in CHECKPOINTS.items():
        torch.save({"state_dict": load_victim(victim, "random").network.state_dict()}, folder / name)
    return folder


@pytest.fixture
def at_home(user: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be that user."""
    home = user.parent / "home"
    for name in ("LGM_BENCH_DATA", "LGM_BENCH_CHECKPOINTS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    # the generated data sets are the same for everybody
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser()))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))  # tests may run without a shell
    monkeypatch.chdir(user)
    monkeypatch.syspath_prepend(str(user))
    yield user
    for name in [
        name for name, module in sys.modules.items() if (getattr(module, "__file__", "") or "").startswith(str(user))
    ]:
        del sys.modules[name]
