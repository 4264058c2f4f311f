"""The base of objectives: what an attack raises, one number per sample.

The number depends only on its own sample, so the gradient of a sample does not depend on the batch.
"""

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from torch import Tensor

from lgm_bench.leaded.compute import Costs
from lgm_bench.leaded.recording import Call

if TYPE_CHECKING:
    from lgm_bench.attacks.objectives import Compute


class Pass(NamedTuple):
    """One forward pass under the gradient method, of B samples.

    Attributes:
        logits: (K, C), attached to the graph; K is B, or for a single scene the number of its labelled points.
        labels: (K,) int64.
        target: Target classes, (B,) int64; None for an untargeted attack.
        values: Current values, (R, ...), attached to the graph.
        clean: Values before the attack, (R, ...).
        owner: (R,) int64, sample of each row of the values.
        samples: (B,) int64, indices of the samples in the whole batch.
        decisions: Decisions of the units in this pass, in call order; empty unless the objective `reads_decisions`.
        costs: Cost of each decision; only for an objective that `reads_costs`.
        voxels: Occupancy of each voxel (M,) and its sample (M,) int64, on point clouds; only if it `reads_decisions`.
    """

    logits: Tensor
    labels: Tensor
    target: Tensor | None
    values: Tensor
    clean: Tensor
    owner: Tensor
    samples: Tensor
    decisions: list[Call]
    costs: Costs | None = None
    voxels: tuple[Tensor, Tensor] | None = None

    @property
    def classes(self) -> Tensor:
        """The targets (K,), or the labels in an untargeted attack."""
        return self.labels if self.target is None else self.target


class Objective:
    """A function of a `Pass` that an attack raises.

    Attributes:
        reads_decisions: Whether it uses the decisions of the pass. They are recorded only then.
        reads_costs: Whether it uses the costs of decisions. They are counted only then.
        goal: For losses about compute: the attack returns the last iterate at which this is highest in the hard
            network; without known costs, the last of all.
    """

    reads_decisions: ClassVar[bool] = False
    reads_costs: ClassVar[bool] = False
    goal: "Compute | None" = None

    def __call__(self, seen: Pass) -> Tensor:
        """Return one value per sample, (B,); if B is 1, any number of values, which are added up."""
        raise NotImplementedError
