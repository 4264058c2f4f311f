"""Architecture change against a count with numpy."""

import numpy as np
import pytest
import torch

from lgm_bench.errors import ConfigError
from lgm_bench.metrics.architecture_change import ArchitectureChange, change_counts, definition_scope

SHAPES = [(), (), (1, 4, 4), (1, 2, 3)]


def decisions(n: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand((n, *shape), generator=generator) < 0.4 for shape in SHAPES]


def oracle(before: list[torch.Tensor], after: list[torch.Tensor], chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Count decision by decision."""
    changed, off, on, total = (np.zeros(len(before)) for _ in range(4))
    for unit, (b, a) in enumerate(zip(before, after, strict=True)):
        for sample in np.flatnonzero(chosen):
            for x, y in zip(np.ravel(b[sample].numpy()), np.ravel(a[sample].numpy()), strict=True):
                total[unit] += 1
                changed[unit] += x != y
                off[unit] += bool(x) and not bool(y)
                on[unit] += bool(y) and not bool(x)
    all_positions = total.sum()
    return {
        "ratio": changed.sum() / all_positions,
        "on_to_off": off.sum() / all_positions,
        "off_to_on": on.sum() / all_positions,
        "per_unit": changed / total,
    }


@pytest.mark.parametrize("over", ["all", "attacked"])
def test_agrees_with_a_count_one_by_one(over):
    before, after = decisions(13, 0), decisions(13, 1)
    attacked = torch.arange(13) % 3 > 0
    metric = ArchitectureChange(over=over)
    for chunk in (slice(0, 5), slice(5, 6), slice(6, 13)):
        metric.update([b[chunk] for b in before], [a[chunk] for a in after], attacked[chunk])
    expected = oracle(before, after, np.ones(13, bool) if over == "all" else attacked.numpy())
    got = metric.compute()
    assert set(got) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(got[key].numpy(), value, rtol=1e-12)


def test_directions_add_up_and_reset_forgets():
    metric = ArchitectureChange(over="all")
    metric.update(decisions(4, 0), decisions(4, 1), torch.ones(4, dtype=torch.bool))
    got = metric.compute()
    assert torch.isclose(got["ratio"], got["on_to_off"] + got["off_to_on"])
    metric.reset()
    metric.update(decisions(4, 0), decisions(4, 0), torch.ones(4, dtype=torch.bool))
    assert metric.compute()["ratio"] == 0


def test_nothing_attacked_is_no_number():
    metric = ArchitectureChange(over="attacked")
    metric.update(decisions(3, 0), decisions(3, 1), torch.zeros(3, dtype=torch.bool))
    assert torch.isnan(metric.compute()["ratio"])


def test_units_that_do_not_agree_are_refused():
    with pytest.raises(ConfigError, match="same non-empty list of units"):
        change_counts(decisions(3, 0), decisions(3, 1)[:-1])
    with pytest.raises(ConfigError, match="non-empty"):
        change_counts([], [])
    with pytest.raises(ConfigError, match="max_units=2"):
        ArchitectureChange(max_units=2).update(decisions(3, 0), decisions(3, 1), torch.ones(3, dtype=torch.bool))


def test_layers_count_attacked_images_and_positions_all():
    assert definition_scope([torch.zeros(3, dtype=torch.bool)]) == "attacked"
    assert definition_scope([torch.zeros(3, 1, 8, 8, dtype=torch.bool)]) == "all"
    assert definition_scope([]) == "attacked"
