"""Projected gradient descent (Madry et al. 2018)."""

from lgm_bench.attacks.attack import State
from lgm_bench.attacks.bim import BIM
from lgm_bench.attacks.problem import Problem


class PGD(BIM):
    """BIM from a uniformly random point of the budget, drawn for each sample from its own generator."""

    name = "pgd"

    def start(self, problem: Problem) -> State:
        return {"x": problem.clean + self.eps * self.noise(problem, self.name)}
