"""What tells, unread, that a data set is there: whatever folder its reader takes."""

from pathlib import Path

import pytest
from indoor_files import write_lists, write_scan
from street_and_shape_files import write_box, write_hdf5_shapes, write_semantickitti, write_text_shapes

from datamodules import MARKS, load_datamodule


def folders(name: str, root: Path) -> list[Path]:
    if name == "scannet":
        write_scan(root / "own", "scene0011_00")
        write_lists(root / "own", [], ["scene0011_00"])
        return [root / "own", root / "own" / "scans"]
    if name == "semantickitti":
        write_semantickitti(root, {"08": 1})
        return [root, root / "dataset"]
    write_text_shapes(root / "text", ["bed_0516"])
    write_hdf5_shapes(root / "hdf5", {"ply_data_test0": [1]})
    write_box(root / "meshes", "bed_0516", "test", (1, 2, 3))
    return [folder for form in ("text", "hdf5", "meshes") for folder in (root / form, *(root / form).iterdir())]


@pytest.mark.parametrize("name", ["modelnet40", "scannet", "semantickitti"])
def test_what_can_be_read_is_marked(name: str, tmp_path: Path) -> None:
    for folder in folders(name, tmp_path):
        datamodule = load_datamodule(name, data_root=folder)
        datamodule.setup("test")
        assert len(datamodule.sample_ids()) == 1
        assert any(any(folder.glob(mark)) for mark in MARKS[name]), folder
