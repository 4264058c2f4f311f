"""AutoAttack (Croce & Hein 2020): APGD-CE, APGD-T, FAB-T and Square, one after the other on the surviving samples.

This is our own code because no maintained library supports pixel masks, leaded gradients with hard verdicts, one random
generator per sample, and targeted attacks in the official protocol's range of intensities.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from lgm_bench.attacks.budgets import Budget, LinfBall
from lgm_bench.attacks.ensemble import TARGETED, Ensemble, Kind, Round
from lgm_bench.errors import ConfigError, UnknownNameError

MEMBERS: dict[str, Kind] = {"apgd-ce": "apgd", "apgd-t": "apgd-t", "fab-t": "fab-t", "square": "square"}
"""What each member does."""


class AutoAttack(Ensemble):
    """The standard ensemble, L-infinity or L2.

    Each member attacks only samples that have not fallen on the hard network yet. Gradients are those of the gradient
    method; Square uses only the hard network's scores.

    In a targeted attack every member aims at the given class: APGD-T raises minus the DLR of the target, FAB-T looks
    for the boundary to its strongest rival, and Square raises its margin.

    Args:
        eps: Largest change of an intensity (see `Attack`).
        step: Must be None, since the members choose their step sizes.
        steps: Steps of each run of APGD and FAB; the standard is 100.
        members: Members to run, in order.
        options: `queries` (the standard is 5,000) and `target_classes` (the standard is 9) as in `Ensemble`, and the
            options of `Attack`.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: There is no such member.
    """

    name: ClassVar[str] = "autoattack"

    def __init__(
        self,
        eps: float | Budget,
        step: float | None = None,
        steps: int | None = None,
        *,
        members: Sequence[str] = tuple(MEMBERS),
        **options: Any,
    ) -> None:
        super().__init__(eps, step, steps, **options)
        if not isinstance(self.budget, LinfBall):
            raise ConfigError(f"AutoAttack works within LinfBall or L2Ball, got {type(self.budget).__name__}")
        if not members:
            raise ConfigError(f"AutoAttack needs at least one member of {', '.join(MEMBERS)}, got none")
        for member in members:
            if member not in MEMBERS:
                raise UnknownNameError("member of AutoAttack", member, MEMBERS)
        self.members = tuple(members)

    def rounds(self, aims: int) -> list[Round]:
        """Return the runs in order, with one run per class for the targeted members."""
        found = []
        for member in self.members:
            kind = MEMBERS[member]
            length = self.queries if kind == "square" else self.steps
            found += [Round(member, rank, length, kind) for rank in range(aims if kind in TARGETED else 1)]
        return found
