"""A budget of seconds."""

import pytest

from lgm_bench.attacks.standard import SCHEDULES, Schedule

QUICK = Schedule(
    "standard-fast", 6, 2, 60, ("fgm", "lgm@6", "soft@6", "straight-through@6"), ("fgm", "lgm@6"), fab=False
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `standard-fast` a matter of seconds."""
    monkeypatch.setitem(SCHEDULES, "standard-fast", QUICK)
