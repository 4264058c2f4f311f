"""What `pip install lgm-bench` leaves out is needed only by what says so."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lgm_bench import extras
from lgm_bench.errors import ConfigError

ROOT = Path(__file__).parents[1]
DISTRIBUTION = {"sklearn": "scikit-learn"}
WITHOUT_EXTRAS = f"""
import importlib, pkgutil, sys
import pytorch_lightning, torchmetrics, torchvision  # these use some extras where they are installed
EXTRAS = {sorted([*extras.EXTRAS, "matplotlib", "timm", "foolbox", "art"])}
for name in list(sys.modules):
    if name.partition(".")[0] in EXTRAS:
        del sys.modules[name]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Absent())
"""
IMPORT_ALL = """
for package in map(importlib.import_module, ("lgm_bench", "victims", "datamodules")):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def without_extras(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_EXTRAS + script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_every_module_can_be_imported_without_extras() -> None:
    done = without_extras(IMPORT_ALL)
    assert done.returncode == 0, done.stderr


def test_an_image_network_is_attacked_without_extras(tmp_path: Path) -> None:
    script = "from lgm_bench.cli import main\nmain()"
    options = ["--attack", "fgsm", "--eps", "8/255", "--limit", "8", "--out", str(tmp_path), "--quiet"]
    done = without_extras(script, "attack", "skipnet14-mini", *options)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*/result.json"))


@pytest.mark.parametrize(("library", "extra"), extras.EXTRAS.items())
def test_an_absent_library_is_an_error_with_the_command_that_installs_it(
    library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"drawing needs {library} .*pip install 'lgm-bench\[{extra}\]'"):
        extras.require(library, "drawing")


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for library, extra in extras.EXTRAS.items():
        name = DISTRIBUTION.get(library, library)
        assert any(needed.startswith(name) for needed in project["optional-dependencies"][extra])
        assert not any(needed.startswith(name) for needed in project["dependencies"])
