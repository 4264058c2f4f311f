"""Operations of one pass over one sample, counted without data and without weights."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from datamodules import DATAMODULES
from lgm_bench.errors import LgmBenchError, never_exiting
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.cells.released import STANDS_FOR
from lgm_bench.evaluation.engine.materials import build_data
from lgm_bench.registry import resolve
from lgm_bench.sparse.cost import counted_cost
from victims import load_victim
from victims.names import VICTIMS

SIDE = 32
"""Pixels along an edge of an image, where the data set does not crop."""

MEASURED = {
    "minkunet34-s3dis": (333.7, 656.0),
    "minkunet14-scannet": (6.2, 28.1),
    "minkunet14-s3dis": (5.4, 10.6),
    "cylinder3d-semantickitti": (727.5, 790.0),
    "cylinder3d-small-semantickitti": (30.7, 33.3),
    "minknet-modelnet40": (0.77, 1.6),
    "minknet-small-modelnet40": (0.088, 0.239),
    "minkunet-scannet-mini": (0.183, 0.703),
    "minkunet-s3dis-mini": (0.172, 0.361),
    "cylinder3d-semantickitti-mini": (2.67, 3.20),
    "minknet-modelnet40-mini": (0.0218, 0.0378),
}
"""GFLOPs of a forward pass under FGM and under LGM, counted as in Table VI.

Each is of one sample: a generated room (eps 0.01 m; for S3DIS with 5 cm voxels), a scan of SemanticKITTI's sequence 08
(0.02 m), or a shape of ModelNet40 (0.05). The miniatures are on their own data, at the smallest eps of the suite
`mini`. For the two published networks, LGM's number is scaled as in the small ones. Table VI has the numbers of the
published network of ScanNet, for each eps."""

LEADED = 2.0
"""Assumed cost of a soft pass over a point cloud relative to a hard one, where there is no measurement."""


class Pass(NamedTuple):
    """Cost of one gradient through a classifier of images.

    Attributes:
        gflops: Forward and backward for one image; 2 operations per multiply-add. The backward pass to the image,
            without gradients of weights, costs as much as the forward pass.
        classes: Number of logits.
    """

    gflops: float
    classes: int


def image_side(data: str) -> int:
    """Return the pixels along an edge of a data set's images."""
    side: int = getattr(resolve("data set", data, DATAMODULES), "crop", SIDE)
    return side


@cache
def image_pass(victim: str, data: str) -> Pass | None:
    """Return the cost of a gradient, counted on the meta device; None for a network that cannot run there.

    FGM and LGM cost the same, and so do skipped and executed blocks: whole batches are computed in either case.

    Args:
        victim: Registered name, or `package.module:Class`.
        data: Data set, which determines the size of the images.
    """
    side = image_side(data)
    try:
        with torch.device("meta"):
            with never_exiting(f"victim {victim!r}"):
                network: nn.Module = resolve("victim", victim, VICTIMS)().eval().requires_grad_(False)
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                logits = network(torch.empty(1, 3, side, side))
    except LgmBenchError:
        raise
    except Exception:  # a user's own network may need real numbers
        return None
    return Pass(2 * counter.get_total_flops() / 1e9, logits.shape[-1])


def point_pass(victim: str, eps: float, *, soft: bool) -> float | None:
    """Return the GFLOPs of a forward pass over one scene or shape; None for a victim without measurements.

    Args:
        victim: Registered name.
        eps: Metres.
        soft: Whether occupancies are soft, which adds the voxels around the cloud.
    """
    table, variant = paper_tables()["table_6"], STANDS_FOR[soft]
    printed = table.columns.get(victim, {}).get(variant, {}).get("gflops")
    if printed is not None:
        number = table.number(f"eps={eps:g}", victim, variant, "gflops")
        return number if number is not None else sum(printed) / len(printed)
    return MEASURED[victim][soft] if victim in MEASURED else None


@cache
def counted_pass(cell: Cell, data_root: str | None = None) -> float | None:
    """Return the GFLOPs of the hard network's pass over a cell's first sample; None where that is impossible."""
    try:
        datamodule = build_data(replace(cell.data, limit=1), data_root, 1)
        datamodule.prepare_data()
        datamodule.setup("test")
        (batch, *_) = datamodule.test_dataloader()
        victim = load_victim(cell.victim.name, "random", kwargs=dict(cell.victim.kwargs))
        with torch.no_grad(), counted_cost() as cost:
            victim(batch[0])
    except Exception:  # data are missing, or a user's own data set or network is broken
        return None
    return cost.gflops
