"""Operations of one iteration of an attack on one sample, without data and without weights."""

from functools import cache
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from datamodules import DATAMODULES
from lgm_bench.errors import LgmBenchError
from lgm_bench.evaluation.cells.cell import Cell
from lgm_bench.evaluation.cells.paper import paper_tables
from lgm_bench.evaluation.engine.materials import build_data
from lgm_bench.registry import resolve
from lgm_bench.sparse.cost import counted_cost
from victims import load_victim
from victims.names import VICTIMS

SIDE = 32
"""Pixels along an edge of an image, where the data set cuts none out."""

MEASURED = {
    "minkunet34-s3dis": (333.7, 656.0),
    "minkunet14-scannet": (6.2, 28.1),
    "minkunet14-s3dis": (5.4, 10.6),
    "cylinder3d-semantickitti": (727.5, 790.0),
    "cylinder3d-small-semantickitti": (30.7, 33.3),
    "minknet-modelnet40": (0.77, 1.6),
    "minknet-small-modelnet40": (0.088, 0.239),
}
"""GFLOPs of a forward pass under FGM and under LGM, counted as Table VI counts them.

Of one sample each: a generated room (eps 0.01 m; S3DIS's 5 cm voxels), a scan of SemanticKITTI's sequence 08 (0.02 m),
a shape of ModelNet40 (0.05). LGM on the two published networks is in the small ones' ratio. Of ScanNet's published
network Table VI itself says it, eps by eps."""

LEADED = 2.0
"""What LGM's passes cost of those of the hard network, on point clouds of which nothing else is known."""


class Pass(NamedTuple):
    """What a gradient through a classifier of images costs.

    Attributes:
        gflops: Forward and backward, of one image; 2 operations a multiply-add. The way back to the image, without
            the gradients of weights, costs what the way there does.
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
    """Return what a gradient costs, counted on a network without memory; None for one that cannot be counted so.

    FGM and LGM, and skipped and executed blocks, cost the same here: all of a batch is computed either way.

    Args:
        victim: Registered name, or `package.module:Class`.
        data: Data set; it tells the size of the images.
    """
    side = image_side(data)
    try:
        with torch.device("meta"):
            network: nn.Module = resolve("victim", victim, VICTIMS)().eval().requires_grad_(False)
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                logits = network(torch.empty(1, 3, side, side))
    except LgmBenchError:
        raise
    except Exception:  # a network of a user's own may do whatever it likes, also what needs real numbers
        return None
    return Pass(2 * counter.get_total_flops() / 1e9, logits.shape[-1])


def point_pass(victim: str, eps: float, *, soft: bool) -> float | None:
    """Return the GFLOPs of a forward pass over one scene or shape; None where nothing is known of the victim.

    Args:
        victim: Registered name.
        soft: Whether occupancies are soft, so that voxels around the cloud take part; else of the hard network.
        eps: Metres.
    """
    table, variant = paper_tables()["table_6"], "lgm" if soft else "fgm"
    printed = table.columns.get(victim, {}).get(variant, {}).get("gflops")
    if printed is not None:
        number = table.number(f"eps={eps:g}", victim, variant, "gflops")
        return number if number is not None else sum(printed) / len(printed)
    return MEASURED[victim][soft] if victim in MEASURED else None


@cache
def counted_pass(cell: Cell, data_root: str | None = None) -> float | None:
    """Return the GFLOPs of the hard network's pass over a cell's first sample; None where that is not to be had."""
    try:
        datamodule = build_data(cell.replace(data={"limit": 1}), data_root, 1)
        datamodule.prepare_data()
        datamodule.setup("test")
        (batch, *_) = datamodule.test_dataloader()
        victim = load_victim(cell.victim.name, "random", kwargs=dict(cell.victim.kwargs))
        with torch.no_grad(), counted_cost() as cost:
            victim(batch[0])
    except LgmBenchError:
        return None
    return cost.gflops
