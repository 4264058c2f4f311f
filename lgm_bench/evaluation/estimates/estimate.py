"""The work of a cell: operations per iteration x iterations x samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lgm_bench.errors import LgmBenchError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.kinds import inputs_of, softens
from lgm_bench.evaluation.engine.building import resolved
from lgm_bench.evaluation.estimates.flops import LEADED, image_pass, image_side, point_pass

SAMPLES = {
    "cifar10": 10_000,
    "digits": 500,
    "imagenet": 50_000,
    "imagenet-mini": 500,
    "modelnet40": 2_468,
    "rooms-s3dis": 8,
    "rooms-scannet": 8,
    "s3dis": 68,
    "s3dis-1cm": 68,
    "scannet": 312,
    "scannet-1cm": 312,
    "semantickitti": 4_071,
}
"""Sizes of the test subsets (ScanNet, ImageNet: validation; S3DIS: area 5; SemanticKITTI: sequence 08)."""

SMALL_IMAGES, LARGE_IMAGES, POINTS = "small images", "large images", "point clouds"
KINDS = (SMALL_IMAGES, LARGE_IMAGES, POINTS)
"""Kinds of work that a machine computes at different rates."""
LARGE = 100
"""Pixels along an edge of the smallest large image."""


@dataclass(frozen=True)
class Estimate:
    """The work of a cell.

    Attributes:
        kind: One of `KINDS`.
        samples: Number of samples; None if the size of the data set is unknown.
        attempts: Attacks per sample; targeted attacks try every other class.
        iterations: Iterations per attack.
        gflops: GFLOPs of one iteration on one sample, forward and backward; for points also the verdict on the iterate.
            None if unknown.
        same_as: An earlier cell with the same result, so that this one costs nothing.
    """

    kind: str
    samples: int | None
    attempts: int
    iterations: int
    gflops: float | None
    same_as: Cell | None = None

    @property
    def total_gflops(self) -> float | None:
        """GFLOPs of the cell; None if a factor is unknown."""
        if self.same_as is not None:
            return 0.0
        if self.gflops is None or self.samples is None:
            return None
        return self.gflops * self.iterations * self.attempts * self.samples


def estimates(
    cells: Sequence[Cell],
    sizes: Mapping[tuple[str, str], int] | None = None,
    counted: Mapping[tuple[str, str], float] | None = None,
) -> list[Estimate]:
    """Return the work of every cell; a cell that repeats an earlier one for another table costs nothing.

    Args:
        cells: The cells.
        sizes: Number of samples by (data set, subset), in place of the official ones.
        counted: GFLOPs of a pass over a point cloud by (victim, data set), for victims without measurements.

    Returns:
        In the order of the cells. The work of a cell that cannot run, such as one with a broken attack, is unknown.
    """
    found: list[Estimate] = []
    first: dict[Cell, Cell] = {}
    for cell in cells:
        filled = computation(cell)
        earlier = first.setdefault(filled, cell)
        try:
            work = _of(filled, sizes or {}, counted or {})
        except LgmBenchError:
            work = Estimate(SMALL_IMAGES, None, 1, cell.attack.steps or 1, None)
        found.append(replace(work, same_as=None if earlier is cell else earlier))
    return found


def computation(cell: Cell) -> Cell:
    """Return a cell with its defaults filled in, without its place in the paper. Equal cells are computed once."""
    try:
        return resolved(cell).without("paper")
    except Exception:  # its run will raise this again
        return cell.without("paper")


def _of(cell: Cell, sizes: Mapping[tuple[str, str], int], counted: Mapping[tuple[str, str], float]) -> Estimate:
    size = sizes.get(
        (cell.data.name, cell.data.subset), SAMPLES.get(cell.data.name) if cell.data.subset == "test" else None
    )
    limits = [number for number in (size, cell.data.limit) if number is not None]
    samples, iterations = min(limits, default=None), cell.attack.steps or 1
    if inputs_of(cell.attack.name).voxels:
        return Estimate(POINTS, samples, 1, iterations, _points(cell, counted.get((cell.victim.name, cell.data.name))))
    kind = LARGE_IMAGES if image_side(cell.data.name) >= LARGE else SMALL_IMAGES
    once = image_pass(cell.victim.name, cell.data.name)
    attempts = max(once.classes - 1, 1) if once and cell.attack.targeted else 1
    return Estimate(kind, samples, attempts, iterations, once.gflops if once else None)


def _points(cell: Cell, counted: float | None) -> float | None:
    """Return the GFLOPs of an iteration on a point cloud: a verdict, and a gradient if the attack follows one."""
    follows = cell.gradient.name != NO_GRADIENT
    soft = follows and softens(cell.gradient.name)
    hard, followed = (point_pass(cell.victim.name, cell.attack.eps, soft=kind) for kind in (False, soft))
    if hard is None and counted is not None:
        hard, followed = counted, counted * (LEADED if soft else 1)
    if hard is None or followed is None or not follows:
        return hard
    return 2 * followed + hard
