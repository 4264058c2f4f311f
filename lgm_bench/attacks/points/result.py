"""What an attack on point clouds did, iterate by iterate."""

from typing import NamedTuple

import torch
from torch import Tensor

from lgm_bench.attacks.points.problem import Evaluation, PointProblem
from lgm_bench.attacks.points.verdict import Verdict


class PointResult(NamedTuple):
    """The adversarial points of B scenes, and how they came about.

    Attributes:
        points: (N, 3), on the device and in the dtype of the clean ones.
        kept: (B,) int64, the iterate that was kept for each scene; 0 is the first one judged.
        scores: (iterates, B) float64, of every iterate on the hard network: the mIoU of a scene, or by how much the
            true class of a shape leads.
        fallen: (iterates, B) bool, whether a shape was misclassified; False for scenes.
        voxels: (gradients, B) int64, voxels that took part in each gradient's forward pass.
        gflops: (gradients, B) float64, operations of that pass in 1e9 (Tao et al. 2024, Table VI).
    """

    points: Tensor
    kept: Tensor
    scores: Tensor
    fallen: Tensor
    voxels: Tensor
    gflops: Tensor


class Progression:
    """Collects iterates and keeps the best one of each scene; of equals, the first.

    Args:
        problem: What is attacked.
    """

    def __init__(self, problem: PointProblem) -> None:
        self.scene = problem.clean.scene
        self.points = problem.clean.points.clone()
        self.kept = torch.zeros(len(problem.ids), dtype=torch.int64)
        self.best: Verdict | None = None
        self.verdicts: list[Verdict] = []
        self.costs: list[tuple[Tensor, Tensor]] = []

    def judged(self, points: Tensor, verdict: Verdict) -> None:
        """Take an iterate (N, 3) and what the hard network makes of it."""
        if self.best is None:
            better, self.best = torch.ones_like(verdict.fallen), verdict
        else:
            better = verdict.beats(self.best)
            self.best = Verdict(*(torch.where(better, a, b) for a, b in zip(verdict, self.best, strict=True)))
        self.points = torch.where(better[self.scene][:, None], points, self.points)
        self.kept[better.cpu()] = len(self.verdicts)
        self.verdicts.append(Verdict(verdict.score.cpu(), verdict.fallen.cpu()))

    @property
    def fallen(self) -> Tensor:
        """(B,) bool, whether a shape has been misclassified; False for scenes."""
        return torch.zeros(len(self.kept), dtype=torch.bool) if self.best is None else self.best.fallen

    def evaluated(self, evaluation: Evaluation) -> None:
        """Take what a gradient cost."""
        self.costs.append((evaluation.voxels, evaluation.gflops))

    def result(self) -> PointResult:
        """Return what was kept."""
        none = torch.zeros(0, len(self.kept))
        costs = map(torch.stack, zip(*self.costs, strict=True)) if self.costs else (none.long(), none.double())
        scores, fallen = map(torch.stack, zip(*self.verdicts, strict=True))
        return PointResult(self.points, self.kept, scores, fallen, *costs)
