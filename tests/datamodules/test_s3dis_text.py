from pathlib import Path

import numpy as np
import pytest

from datamodules.s3dis_forms import read_points

ROWS = np.array([[-19.302, -9.1, 1.785, 146, 137, 106], [0.5775, 1e-3, 2.604, 167, 175, 177]])


@pytest.mark.parametrize(
    "content",
    [
        "-19.302 -9.1 1.785 146 137 106\n0.5775 0.001 2.604 167 175 177\n",
        "-19.302 -9.1 1.785 146 137 106\n0.5775 0.001 2.604 167 175 177",
        "-19.302 -9.1 1.785 146 137 106\r\n0.5775 0.001 2.604 167 175 177\r\n",
        "-19.302 -9.1 1.785 146 137 106 \n0.5775 0.001 2.604 167 175 177 \n",
        "-19.302\t-9.1\t1.785\t146\t137\t106\n\n  0.5775 1e-3  2.604 167 175 177\n",
        "-19.302 -9.1 1.785 146.000000 137.0 106\n0.577500 0.001000 2.604 167.\x1000000 175 177\n",
        "-19.302 -9.1 1.785 146\x10137 106\n0.5775 0.001 2.604 167 175 177\n",
        "\xef\xbb\xbf-19.302 -9.1 1.785 146 137 106\n0.5775 0.001 2.604 167 175 177\n",
        "-19.302 -9.1\x1c 1.785 146 137 106\n0.5775 0.001 2.604 167 175 177\n",
    ],
    ids=["plain", "no end", "windows", "spaces", "tabs", "stray in", "stray between", "byte order mark", "separator"],
)
def test_read_as_numpy_reads_clean_lines(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wall_1.txt"
    path.write_bytes(content.encode("latin-1"))
    assert np.array_equal(read_points(path), ROWS)


def test_to_the_last_bit_as_loadtxt(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "wall_1.txt"
    np.savetxt(path, random.normal(0, 30, (2000, 6)), fmt="%.6f")
    assert np.array_equal(read_points(path), np.loadtxt(path))
