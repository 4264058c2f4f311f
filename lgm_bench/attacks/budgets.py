"""Budgets: which changes an attack may make, and the direction of its steps."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError

PIXEL_SEED = 1
ROUNDING = 1e-6  # largest rounding error of clean + eps in float32
FAR = 0.5  # metres: shapes are a metre across

Self = TypeVar("Self", bound="Budget")


@dataclass(frozen=True)
class Box:
    """Values between a lower and an upper bound.

    Attributes:
        lower: (R, ...), smallest values; equal to `upper` where nothing may change.
        upper: (R, ...), largest values.
        allowed: bool, whether a value may change; broadcasts to the others.
    """

    lower: Tensor
    upper: Tensor
    allowed: Tensor

    def project(self, x: Tensor) -> Tensor:
        """Return the nearest values (R, ...) inside the box."""
        return torch.minimum(torch.maximum(x, self.lower), self.upper)

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows (R,) bool of x (R, ...) lie inside the box."""
        return ((x >= self.lower) & (x <= self.upper)).flatten(1).all(dim=1)

    def select(self, rows: Tensor) -> "Box":
        """Return the box of some rows, (R,) bool or (K,) int64."""
        return Box(self.lower[rows], self.upper[rows], self.allowed)


@dataclass(frozen=True)
class Ball:
    """Values within an L2 distance of the clean ones and inside a box.

    Attributes:
        clean: (R, ...), centres of the balls.
        eps: Radius of each row's ball.
        box: Range of the values.
    """

    clean: Tensor
    eps: float
    box: Box

    def project(self, x: Tensor) -> Tensor:
        """Return values in ball and box: clip to the box, then move towards the centre, which never leaves the box."""
        if self.eps == 0:
            return self.clean
        change = self.box.project(x) - self.clean
        return self.clean + change * (self.eps / norm(change).clamp(min=self.eps))

    def contains(self, x: Tensor) -> Tensor:
        """Return which rows (R,) bool of x (R, ...) lie in ball and box."""
        return self.box.contains(x) & (norm(x - self.clean).flatten() <= self.eps)

    def select(self, rows: Tensor) -> "Ball":
        return Ball(self.clean[rows], self.eps, self.box.select(rows))


Region = Box | Ball
"""Values that one batch may take under a budget."""


class Budget:
    """How far an attack may move values (R, ...), such as images (B, C, H, W) or points (N, 3).

    Args:
        eps: Half-width or radius, in the unit of the values.

    Raises:
        ConfigError: eps is negative or not finite.
    """

    unit = ""

    def __init__(self, eps: float) -> None:
        if not (math.isfinite(eps) and eps >= 0):
            raise ConfigError(f"eps must be a number of at least 0{self.unit}, got {eps}")
        self.eps = eps

    def resized(self: Self, eps: float) -> Self:
        """Return the same budget with another eps."""
        other = copy.copy(self)
        other.eps = eps
        return other

    @property
    def everything(self) -> float:
        """An eps at which any network should fail."""
        raise NotImplementedError

    def around(self, clean: Tensor) -> Region:
        """Return the values (R, ...) that this budget allows around clean ones.

        Raises:
            ConfigError: The budget does not fit values of this shape.
        """
        raise NotImplementedError

    def distance(self, clean: Tensor, x: Tensor) -> Tensor:
        """Return the size of each row's change (R,), in the unit and norm of eps."""
        return self.size(x - clean)

    def size(self, change: Tensor) -> Tensor:
        """Return the size of each row (R,) of a change (R, ...), in the unit and norm of eps."""
        return change.abs().flatten(1).amax(dim=1)

    def within(self, clean: Tensor, x: Tensor) -> Tensor:
        """Return which rows (R,) bool lie within the budget, up to rounding."""
        return self.distance(clean, x) <= self.eps + ROUNDING

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the step (R, ...) of size 1 that raises an objective with this gradient most; 0 where it is 0."""
        raise NotImplementedError

    def noise(self, sizes: Sequence[int], generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
        """Return a uniformly random change of size 1, in the shape and dtype of `like` (R, ...).

        Args:
            sizes: Number of rows of each sample; they add up to R.
            generators: One CPU generator per sample.
            like: Any values (R, ...).
        """
        draws = [
            torch.rand((size, *like.shape[1:]), generator=generator, dtype=torch.float64)
            for size, generator in zip(sizes, generators, strict=True)
        ]
        return (2 * torch.cat(draws) - 1).to(like)


class LinfBall(Budget):
    """Every value moves by at most eps and stays in a range; optionally, only some pixels of an image change.

    Args:
        eps: Half-width in the unit of the values, such as 8/255 for images in [0, 1].
        bounds: Smallest and largest value.
        valid_pixels: Share of the pixels that may change, in (0, 1]; see `valid_pixel_mask`.
        mask: Pixels that may change, (H, W) bool, instead of a random share.

    Raises:
        ConfigError: A value makes no sense.
    """

    def __init__(
        self,
        eps: float,
        bounds: tuple[float, float] = (0.0, 1.0),
        *,
        valid_pixels: float = 1.0,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__(eps)
        self.low, self.high = bounds
        if not self.low < self.high:
            raise ConfigError(f"bounds must be a smallest and a larger value, got {bounds}")
        if not 0 < valid_pixels <= 1:
            raise ConfigError(f"valid_pixels must lie in (0, 1], got {valid_pixels}; 0.05 means 5 % of the pixels")
        if mask is not None and valid_pixels != 1.0:
            raise ConfigError(f"give either a mask or valid_pixels={valid_pixels}, not both")
        if mask is not None and not bool(mask.any()):
            raise ConfigError("mask allows no pixel to change; set at least one to True")
        self.valid_pixels, self.mask = valid_pixels, mask

    @property
    def everything(self) -> float:
        """Half of the range, enough to turn every image plain grey."""
        return 0.5 * (self.high - self.low)

    def around(self, clean: Tensor) -> Box:
        return self.box((clean - self.eps).clamp(min=self.low), (clean + self.eps).clamp(max=self.high), clean)

    def range(self, clean: Tensor) -> Box:
        """Return the box of all values in the range, for any eps."""
        return self.box(clean.new_tensor(self.low), clean.new_tensor(self.high), clean)

    def box(self, lower: Tensor, upper: Tensor, clean: Tensor) -> Box:
        """Return a box in which pixels that may not change stay clean."""
        allowed = self.allowed(clean)
        return Box(torch.where(allowed, lower, clean), torch.where(allowed, upper, clean), allowed)

    def within(self, clean: Tensor, x: Tensor) -> Tensor:
        inside = (x >= self.low - ROUNDING) & (x <= self.high + ROUNDING)
        return super().within(clean, x) & inside.flatten(1).all(dim=1)

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def allowed(self, clean: Tensor) -> Tensor:
        """Return which values may change: all of them, or some pixels (1, 1, H, W) bool."""
        size = clean.shape[2:]
        if self.mask is None and self.valid_pixels == 1.0:
            return torch.ones((1,) * (clean.ndim - len(size)) + tuple(size), dtype=torch.bool, device=clean.device)
        if len(size) != 2:
            raise ConfigError(
                f"valid_pixels and mask are for images (B, C, H, W) only, got values {tuple(clean.shape)}"
            )
        if self.mask is None:
            mask = valid_pixel_mask(size[0], size[1], self.valid_pixels)
        elif self.mask.shape != size:
            raise ConfigError(f"mask must have the images' size {tuple(size)}, got {tuple(self.mask.shape)}")
        else:
            mask = self.mask.bool()
        return mask.to(clean.device)[None, None]


class L2Ball(LinfBall):
    """Each row, such as a whole image, changes by an L2 norm of at most eps; options as in `LinfBall`."""

    def around(self, clean: Tensor) -> Ball:  # type: ignore[override]
        return Ball(clean, self.eps, self.range(clean))

    def size(self, change: Tensor) -> Tensor:
        return norm(change).flatten()

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient / norm(gradient).clamp(min=torch.finfo(gradient.dtype).tiny)

    def noise(self, sizes: Sequence[int], generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
        draws = []
        for size, generator in zip(sizes, generators, strict=True):
            towards = torch.randn((size, *like.shape[1:]), generator=generator, dtype=torch.float64)
            share = torch.rand((size, *[1] * (like.ndim - 1)), generator=generator, dtype=torch.float64)
            draws.append(towards / norm(towards) * share ** (1 / towards[0].numel()))
        return torch.cat(draws).to(like)


class Cubes(Budget):
    """Each point moves by at most eps along every axis; cubes are rounded inwards, so that no point moves farther.

    Args:
        eps: Half-width, metres.
    """

    unit = " (in metres)"

    @property
    def everything(self) -> float:
        """Half a metre, or eps if that is more."""
        return max(FAR, self.eps)

    def around(self, clean: Tensor) -> Box:
        exact = clean.double()
        lower, upper = (exact - self.eps).to(clean.dtype), (exact + self.eps).to(clean.dtype)
        lower = torch.where(exact - lower.double() > self.eps, torch.nextafter(lower, clean), lower)
        upper = torch.where(upper.double() - exact > self.eps, torch.nextafter(upper, clean), upper)
        return Box(lower, upper, torch.ones((1, 1), dtype=torch.bool, device=clean.device))

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the gradient of each point divided by its largest component: the longest move in that direction."""
        largest = gradient.abs().amax(dim=1, keepdim=True)
        return torch.where(largest > 0, gradient / largest, 0)


def norm(values: Tensor) -> Tensor:
    """Return the L2 norm of each row of (R, ...), as (R, 1, ..., 1)."""
    size: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return size.view(-1, *[1] * (values.ndim - 1))


def valid_pixel_mask(height: int, width: int, share: float) -> Tensor:
    """Return the pixels that may change, (height, width) bool, on the CPU.

    All images, channels and runs share one random set with a fixed seed, since the set is part of the task and not of
    an attack. The number of pixels is rounded down.

    Raises:
        ConfigError: `share` is less than one pixel.

    >>> int(valid_pixel_mask(32, 32, 0.05).sum())
    51
    """
    pixels = height * width
    count = int(pixels * share + 1e-9)  # 0.29 * 100 is 28.999999999999996
    if count == 0:
        raise ConfigError(
            f"valid_pixels={share} is less than one pixel of a {height} x {width} image; give a larger share"
        )
    mask = torch.zeros(pixels, dtype=torch.bool)
    mask[torch.randperm(pixels, generator=torch.Generator().manual_seed(PIXEL_SEED))[:count]] = True
    return mask.view(height, width)
