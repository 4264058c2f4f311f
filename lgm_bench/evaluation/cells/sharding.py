"""Splitting a suite's cells over the jobs of an array."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lgm_bench.errors import ConfigError
from lgm_bench.evaluation.cells.suites import Planned


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of a suite, `index` from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that a text such as "2/8" means.

        Raises:
            ConfigError: It means none.

        >>> Shard.parse("2/8")
        Shard(index=2, count=8)
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        shard = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not 1 <= shard.index <= shard.count:
            raise ConfigError(f"--shard {text}: expected I/N with I from 1 to N, such as 2/8 for the second of eight")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, planned: Sequence[Planned]) -> list[Planned]:
        """Return this shard's cells, in the suite's order. Every cell is in exactly one shard.

        Cells are dealt out by falling estimated cost. Neither the machine nor the data that happen to be there enter,
        so that all jobs of an array deal alike. Cells of several tables that share a result stay together: two jobs
        must not compute the same.
        """
        from lgm_bench.evaluation.estimates.estimate import (
            computation,
            estimates,
        )  # brings torch, which parsing does not need

        cells = [one.cell for one in planned]
        costs = [estimate.total_gflops or 0.0 for estimate in estimates(cells)]
        groups: dict[object, list[int]] = {}
        for number, cell in enumerate(cells):
            groups.setdefault(computation(cell), []).append(number)
        dealt = sorted(groups.values(), key=lambda numbers: -sum(costs[number] for number in numbers))
        mine = {number for numbers in dealt[self.index - 1 :: self.count] for number in numbers}
        return [one for number, one in enumerate(planned) if number in mine]
