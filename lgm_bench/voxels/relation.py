"""Relation functions: smooth weights between points and voxels."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lgm_bench.errors import ConfigError, UnknownNameError


def sigmoid(distance: Tensor, slope: float) -> Tensor:
    """Return log r, r = prod_i sigmoid(slope * (1/2 - d_i)): 1/2 at a face of the voxel (Tao et al. 2024, Eq. 29-30).

    Args:
        distance: (P, 3) absolute distances of points from voxel centres along each axis, in voxels.
        slope: Positive; a larger one is closer to the hard relation.
    """
    return F.logsigmoid(slope * (0.5 - distance)).sum(dim=1)


def bilinear(distance: Tensor, slope: float) -> Tensor:  # noqa: ARG001
    """Return log r, r = prod_i max(0, 1 - d_i), which does not use a slope (Tao et al. 2024, Eq. 32); see `sigmoid`."""
    return (1 - distance).clamp(min=torch.finfo(distance.dtype).tiny).log().sum(dim=1)


def rbf(distance: Tensor, slope: float) -> Tensor:
    """Return log r, r = exp(-slope * |d|^2), as in Tao et al. 2024, Eq. 33, with our scale; see `sigmoid`."""
    return -slope * distance.square().sum(dim=1)


ENDS = ("input", "output", "floor")
RELATIONS = {"sigmoid": sigmoid, "bilinear": bilinear, "rbf": rbf}


class Relation(NamedTuple):
    """A relation function and its slope.

    Attributes:
        name: A key of `RELATIONS`.
        slope: Positive.
    """

    name: str
    slope: float

    def log(self, distance: Tensor) -> Tensor:
        """Return log r (P,) of distances (P, 3) in voxels."""
        return RELATIONS[self.name](distance, self.slope)


@dataclass(frozen=True)
class VoxelSlopes:
    """Slopes between points and voxels under a gradient method.

    Attributes:
        input: Slope of the weights of points in the features of a voxel (Eq. 37); None: all points of a voxel have the
            same weight, as in the hard network.
        output: Slope of the weights of voxels in the logits of a point (Eq. 40); None: a point takes the logits of its
            own voxel.
        floor: Slope of the soft floor for features that are voxel coordinates (S3DIS); None: they carry no gradient.
        relation: Name of the relation function.
        normalized: Whether the weights of a point's voxels add up to 1 (Eq. 40). The released runs do not normalize
            them. FGM's result depends on this detail, since its only weight per point would otherwise be constant.
        automatic: Whether None means the slope of the occupancy in the convolutions.

    Raises:
        ConfigError: A slope is not a positive number.
        UnknownNameError: There is no such relation function.
    """

    input: float | None = None
    output: float | None = None
    floor: float | None = None
    relation: str = "sigmoid"
    normalized: bool = False
    automatic: bool = False

    def __post_init__(self) -> None:
        for name in ENDS:
            slope = getattr(self, name)
            if slope is not None and not 0 < slope < float("inf"):
                raise ConfigError(f"the {name} slope must be a positive number, got {slope}")
        if self.relation not in RELATIONS:
            raise UnknownNameError("relation function", self.relation, RELATIONS)

    def at(self, slope: float) -> "VoxelSlopes":
        """Return the slopes, with `slope` (that of the occupancy) for automatic ones."""
        if not self.automatic:
            return self
        ends = [slope if end is None else end for end in (self.input, self.output, self.floor)]
        return replace(self, input=ends[0], output=ends[1], floor=ends[2], automatic=False)


def soft_floor(value: Tensor, slope: float) -> Tensor:
    """Return a smooth floor of each value: a sigmoid of the given slope at every whole number.

    The released runs place the sigmoid half a step lower, which rounds instead.

    >>> soft_floor(torch.tensor([1.4, 2.0, 2.6]), 50.0)
    tensor([1.0000, 1.5000, 2.0000])
    """
    below = (value.detach() - 0.5).floor()
    return below + torch.sigmoid(slope * (value - below - 1))
