"""The parameters of the released runs, line by line as the publication's own configurations have them."""

import pytest

from lgm_bench.attacks.point_defaults import RELEASED, default_settings
from lgm_bench.errors import ConfigError

EPS = (0.005, 0.01, 0.02, 0.05)
ROOM, STREET = (0.0025, 0.01, 0.01, 0.01), (0.0025, 0.005, 0.005, 0.005)
#: By victim and gradient: loss, steps, step, input, convolution, output and floor slope; one value, or one an eps.
LINES = {
    ("minkunet34c-scannet", "lgm"): ("cross_entropy", (30, 50, 50, 50), ROOM, 10, (25, 10, 10, 15), 10, None),
    ("minkunet34c-scannet", "fgm"): ("cross_entropy", 30, (0.005, 0.01, 0.01, 0.05), 20, None, 20, None),
    ("minkunet34-s3dis", "lgm"): ("cross_entropy", 50, (0.005, 0.01, 0.01, 0.025), 45, 55, 45, 20),
    ("minkunet34-s3dis", "fgm"): ("cross_entropy", 30, (0.005, 0.01, 0.02, 0.05), 55, None, 55, 20),
    ("cylinder3d-semantickitti", "lgm"): ("lovasz", 30, STREET, 10, (250, 200, 200, 200), None, None),
    ("cylinder3d-semantickitti", "fgm"): ("lovasz", 30, STREET, None, None, None, None),
}


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("cell", RELEASED)
def test_released_parameters(cell: tuple[str, str], column: int) -> None:
    found = default_settings(*cell, EPS[column])
    values = (found.loss, found.steps, found.step, found.voxels.input, found.slope)
    expected = tuple(value[column] if isinstance(value, tuple) else value for value in LINES[cell])
    assert (*values, found.voxels.output, found.voxels.floor) == expected
    assert found.voxels.relation == "sigmoid"


def test_what_was_not_released_is_named() -> None:
    with pytest.raises(ConfigError, match=r"eps 0\.03 m \(only 0\.005, 0\.01, 0\.02, 0\.05\)"):
        default_settings("minkunet34c-scannet", "lgm", 0.03)
    with pytest.raises(ConfigError, match=r"no parameters of lgm on 'my\.net:Net' were released"):
        default_settings("my.net:Net", "lgm", 0.01)
