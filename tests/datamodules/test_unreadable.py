"""Files that cannot be read: named pipes, folders without permission, and contents that would take for ever."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules import load_datamodule
from datamodules.image_tree import read_image
from datamodules.modelnet40_forms import HDF5Form, MeshForm, Shape, TextForm
from datamodules.ply import read_vertices
from datamodules.s3dis_forms import read_npy, read_points
from lgm_bench.errors import DataError

READERS: dict[str, Callable[[Path], object]] = {
    "scan.ply": lambda path: read_vertices(path, ["x"]),
    "room.npy": read_npy,
    "wall_1.txt": read_points,
    "bed_0001.txt": lambda path: TextForm(path.parent).points(Shape("bed_0001", 2, path), 4),
    "bed_0001.off": lambda path: MeshForm(path.parent).points(Shape("bed_0001", 2, path), 4),
    "ply_data_test0.h5": lambda path: HDF5Form(path.parent).points(Shape("a", 2, path), 4),
    "image.png": read_image,
}


@pytest.mark.parametrize("name", READERS)
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(DataError, match=rf"{name}.*: .*it is not a regular file"):
        READERS[name](path)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("s3dis", "Area_5"),
        ("semantickitti", "sequences/08/velodyne"),
        ("modelnet40", "ModelNet40/bed/test"),
        ("imagenet", "val"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / folder).mkdir()
    listed = Path.iterdir

    def iterdir(path: Path):
        if path == tmp_path / folder:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    data = load_datamodule(name, data_root=tmp_path)
    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(DataError, match=rf"{folder}: Permission denied"):
        data.setup("test")


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "modelnet40", "s3dis", "scannet", "semantickitti"])
def test_a_data_root_that_is_a_loop_of_links_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError):
        load_datamodule(name, data_root=tmp_path / "loop").setup("test")


CONTENTS: dict[str, Callable[[int], bytes]] = {
    "garbage in one line": lambda n: b"\x01x" * (n // 2),
    "a long number": lambda n: b"1" * n + b"x 1 1 1 1 1\n",
    "a stray character in every line": lambda n: b"1 2 3 4 5 6\x01\n" * (n // 13),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_time_of_reading_a_text_grows_with_its_length(tmp_path: Path, kind: str, caplog) -> None:
    path, taken = tmp_path / "wall_1.txt", []
    caplog.set_level("ERROR")
    for n in (50_000, 400_000):
        path.write_bytes(CONTENTS[kind](n))
        start = time.process_time()
        with contextlib.suppress(DataError):
            read_points(path)
        taken.append(time.process_time() - start)
    assert taken[1] < 20 * taken[0] + 0.5  # 8 times as long; time that grows with the square would be 64 times


@pytest.mark.parametrize("content", ["OFF\n999999999999 1 0\n0 0 0\n", "OFF\n1 99999999999 0\n0 0 0\n-1\n"])
def test_a_mesh_that_claims_more_than_it_holds_is_refused_at_once(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bed_0001.off"
    path.write_text(content)
    with pytest.raises(DataError, match="is truncated"):
        READERS["bed_0001.off"](path)
