"""Projected gradient descent (Madry et al. 2018)."""

import torch

from lgm_bench.attacks.base import State
from lgm_bench.attacks.bim import BIM
from lgm_bench.attacks.problem import Problem


class PGD(BIM):
    """BIM from a uniformly random point of the box, drawn for each sample from its own generator."""

    name = "pgd"

    def start(self, problem: Problem) -> State:
        size = problem.clean.shape[1:]
        draws = [torch.rand(size, generator=g, dtype=torch.float64) for g in self.generators(problem)]
        noise = (2 * torch.stack(draws) - 1).to(problem.clean)
        return {"x": problem.project(problem.clean + problem.eps * noise)}
