"""Random moves: what any attack has to beat."""

from lgm_bench.attacks.attack import State
from lgm_bench.attacks.point_attack import PointAttack
from lgm_bench.attacks.problem import Evaluation, Problem


class RandomPerturbation(PointAttack):
    """A uniform draw from each point's cube; with more `steps`, the best of so many draws.

    The clean cloud is no candidate: it would hide draws that happen to help the victim. No gradient is taken.
    """

    name = "random"
    takes_step = False
    takes_gradient = False
    judges_start = False
    default_steps = 1
    fewest_steps = 1

    def update(self, problem: Problem, state: State, evaluation: Evaluation, iteration: int) -> State:
        """Return the draw of that number; a scene's comes from a generator of its own."""
        return {"x": problem.clean + self.eps * self.noise(problem, f"{self.name}-{iteration}")}
