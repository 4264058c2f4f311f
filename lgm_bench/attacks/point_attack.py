"""What attacks that move points have in common: cubes, metres, and the best iterate of each scene."""

from typing import ClassVar

from lgm_bench.attacks.attack import Attack
from lgm_bench.attacks.budgets import Budget, Cubes
from lgm_bench.attacks.objectives import Objective


class PointAttack(Attack):
    """An attack that moves points, each inside the cube of half-width eps around where it was.

    The hard network judges every iterate, the clean cloud first, and the best one of each scene is handed back: that
    of the lowest mIoU of the scene (segmentation), or a misclassified one before the others and then that of the lowest
    margin of the true class (classification). Scenes go through the network one by one, shapes together but with sums
    over shapes as the objective.

    Args:
        eps: Largest move of a point along an axis, metres.
        step: Size of a step, metres; None takes the attack's default.
        steps: Number of steps; None takes the attack's default.
        loss: What is raised, as in `Attack`; "lovasz" is for segmentation.
        seed: Seed of what the attack draws at random.

    Raises:
        ConfigError: A value makes no sense.
        UnknownNameError: The attack does not know the loss.
    """

    inputs = "points"
    keeps_best = True
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "lovasz")
    default_step = 0.01
    default_steps = 50
    fewest_steps = 0

    def __init__(
        self,
        eps: float | Cubes,
        step: float | None = None,
        steps: int | None = None,
        *,
        loss: str | Objective | None = None,
        seed: int = 0,
    ) -> None:
        self._settle(eps if isinstance(eps, Budget) else Cubes(eps), step, steps, loss, seed)
        self.active_set = False

    @classmethod
    def usual_step(cls, eps: float) -> float:
        """Return the default step, or eps if that is less."""
        return min(super().usual_step(eps), eps)
