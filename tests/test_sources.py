import hashlib
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lgm_bench.sources import is_there, source_files

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file into a folder that Python searches."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    yield write_file
    for name in set(sys.modules) - before:
        del sys.modules[name]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_local_imports_are_followed_wherever_they_stand(write: Write) -> None:
    paths = [
        write("own_nets/__init__.py", ""),
        write("own_nets/gates.py", "from . import blocks\nimport json, torch, lgm_bench.leaded, no_such_module"),
        write("own_nets/blocks.py", "def build():\n    from own_helpers import size\n    return size"),
        write("own_helpers.py", "size = 3"),
    ]
    write("own_nets/unused.py", "size = 4")
    found = source_files("own_nets.gates")
    assert found == {path.relative_to(paths[-1].parent).as_posix(): sha256(path) for path in paths}
    assert "own_nets" not in sys.modules
    paths[-1].write_text("size = 5")
    assert source_files("own_nets.gates") != found


def test_modules_that_import_each_other_come_to_an_end(write: Write) -> None:
    write("own_first.py", "import own_second")
    write("own_second.py", "import own_first")
    assert source_files("own_first") == source_files("own_second")
    assert list(source_files("own_first")) == ["own_first.py", "own_second.py"]


@pytest.mark.parametrize("name", ["torch.nn", "json", "sys", "lgm_bench_nowhere", "os.path"])
def test_installed_modules_have_no_local_source(name: str) -> None:
    assert source_files(name) == {}
    assert is_there(name) == (name != "lgm_bench_nowhere")


def test_the_code_that_was_imported_counts(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write("own_net.py", "threshold = 0.9")
    module = importlib.import_module("own_net")
    before = source_files("own_net")
    path.write_text("threshold = 0.1")
    with caplog.at_level(logging.WARNING):
        assert source_files("own_net") == before
        assert source_files("own_net") == before
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"{path} changed since this process imported it"
    ]
    importlib.reload(module)
    assert source_files("own_net") == {"own_net.py": sha256(path)} != before


def test_a_file_that_is_no_python_stands_for_itself(write: Write) -> None:
    path = write("own_net.py", "def broken(")
    assert source_files("own_net") == {"own_net.py": sha256(path)}
