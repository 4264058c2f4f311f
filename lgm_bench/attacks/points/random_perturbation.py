"""Random moves: what any attack has to beat."""

from typing import ClassVar

import torch
from torch import Tensor

from lgm_bench.attacks.points.base import PointAttack, State
from lgm_bench.attacks.points.problem import PointProblem
from lgm_bench.attacks.points.result import Progression
from lgm_bench.attacks.randomness import sample_generator


class RandomPerturbation(PointAttack):
    """A uniform draw from each point's cube; with more `steps`, the best of so many draws, whatever the protocol.

    The clean cloud is no candidate: it would hide draws that happen to help the victim. No gradient is taken.
    """

    name = "random"
    takes_step: ClassVar[bool] = False
    starts_clean: ClassVar[bool] = False
    default_steps: ClassVar[int] = 1

    @property
    def iterates(self) -> int:
        """Number of draws."""
        return self.steps

    def start(self, problem: PointProblem) -> State:
        return {"x": self._draw(problem, 0)}

    def advance(self, problem: PointProblem, state: State, iterate: int, progression: Progression) -> State:
        return {"x": self._draw(problem, iterate + 1)}

    def _draw(self, problem: PointProblem, number: int) -> Tensor:
        """Return the draw of that number (N, 3); a scene's comes from generators of its own."""
        sizes = torch.bincount(problem.clean.scene).tolist()
        draws = [
            torch.rand(
                size, 3, generator=sample_generator(self.seed, name, f"{self.name}-{number}"), dtype=torch.float64
            )
            for name, size in zip(problem.ids, sizes, strict=True)
        ]
        noise = (2 * torch.cat(draws) - 1).to(problem.clean.points)
        return problem.clean.points + problem.eps * noise
