"""Gradient methods, and the units of a network that they switch.

A gradient method is switched on from outside, `with LGM(slope=5).applied_to(victim): ...`; the victim's code does not
depend on it. Each `Unit` of the victim computes a soft and a hard occupancy, and the method in force composes the two.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded import AUTO, GRADIENTS
from lgm_bench.registry import resolve

if TYPE_CHECKING:
    from lgm_bench.voxels.neighbours import Reach
    from lgm_bench.voxels.relation import VoxelSlopes


class GradientMethod:
    """Composes the occupancy of a unit from its soft and its hard one; subclasses override `occupancy`.

    Args:
        slope: Positive slope lambda of the soft occupancy; or slopes by the name of the unit in the network, or by a
            pattern of names such as "layer1.*"; or "auto": every unit gets one from the spread of its margins (see
            `slopes.calibrated`). Attacks measure that on the clean inputs that they are given, so a sample's result may
            then depend on those beside it; cells of a benchmark always measure it on the same samples.
        voxels: Slopes of the way from points to voxels and back; None: those of the input and the output are `slope`.

    Attributes:
        name: Registered name.
        softens: Whether `occupancy` uses the soft occupancy. Otherwise it is not computed, and no voxels take part that
            no point lies in.
        shows_hard: Whether the outputs under this method are those of the hard network.

    Raises:
        ConfigError: A slope is not a positive finite number.
    """

    name: ClassVar[str] = ""
    softens: ClassVar[bool] = True
    shows_hard: ClassVar[bool] = False

    def __init__(self, slope: float | str | Mapping[str, float] = AUTO, voxels: "VoxelSlopes | None" = None) -> None:
        numbers = slope.values() if isinstance(slope, Mapping) else [] if slope == AUTO else [slope]
        for number in numbers:
            if not (isinstance(number, float | int) and 0 < number < math.inf):
                raise ConfigError(f"slope must be a positive number or {AUTO!r}, got {number!r}")
        self.slope: float | str | Mapping[str, float] | None = slope
        self.voxels = voxels

    def softened(self, margin: Tensor, slope: float) -> Tensor:
        """Return the soft occupancy in [0, 1] of a margin, whose sign is the hard decision; of the same shape."""
        return torch.sigmoid(slope * margin)

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:
        """Return the occupancy of a unit, of the shape and dtype of `soft`.

        Args:
            soft: Soft occupancy in [0, 1] with its gradient, any shape; where the method does not soften, `hard`.
            hard: Occupancy in the hard network, 0 or 1, of the same shape and dtype, a constant.
        """
        raise NotImplementedError

    @contextmanager
    def applied_to(self, victim: nn.Module, reach: "Reach | None" = None) -> Iterator[None]:
        """Let every `Unit` inside `victim` use this method until the block is left, in this thread only.

        Blocks may be nested; leaving one, also by an exception, restores what was in force before it.

        Args:
            victim: The network.
            reach: How far points can move, which bounds the voxels that take part.

        Raises:
            ConfigError: The method softens, and the network has no unit; or a unit has no slope.
        """
        units = {
            unit: _State(self, self.slope_of(unit, name, reach), reach) for name, unit in self.units_of(victim).items()
        }
        before = _in_force()
        _put_in_force({**before, **units})
        try:
            yield
        finally:
            others = {unit: state for unit, state in _in_force().items() if unit not in units}
            _put_in_force({**others, **{unit: before[unit] for unit in units if unit in before}})

    def units_of(self, victim: nn.Module) -> dict[str, "Unit"]:
        """Return the units of a network that this method switches, by name.

        Raises:
            ConfigError: There is none, and without one a method that softens would silently be the plain gradient.
        """
        units = {name: module for name, module in victim.named_modules() if isinstance(module, Unit)}
        if self.softens and not units:
            raise ConfigError(
                f"found no adaptive unit in {type(victim).__name__}, so {self!r} would follow the plain gradient; take "
                "FGM for a static network, and the original module in place of a traced, exported or scripted one"
            )
        return units

    def slope_of(self, unit: "Unit", name: str, reach: "Reach | None" = None) -> float:
        """Return the slope of a unit, by its name in the network; infinite where the method has none.

        Raises:
            ConfigError: It is measured, and that has not been done.
        """
        if self.slope is None or not self.softens:
            return math.inf
        if isinstance(self.slope, float | int):
            return self.slope
        slope = _named(self.slope, name) if isinstance(self.slope, Mapping) else None
        slope = unit.own_slope(reach) if slope is None else slope
        if slope is None:
            raise ConfigError(
                f"unit {name!r} has no slope yet: {AUTO!r} slopes are measured on clean inputs; apply "
                "lgm_bench.leaded.calibrated(method, network, inputs), or give a slope"
            )
        return slope

    def __repr__(self) -> str:
        slope = f"{self.slope:g}" if isinstance(self.slope, float | int) else repr(self.slope)
        return f"{type(self).__name__}({'' if self.slope is None else f'slope={slope}'})"


class FGM(GradientMethod):
    """The dynamics-unaware gradient: hard occupancy, a constant to autograd (Tao et al. 2024, Eq. 3).

    Args:
        voxels: None: the plain gradient of the hard network. With slopes, features and logits depend smoothly on where
            points lie in the voxels that they occupy, and only in those.
    """

    name = "fgm"
    softens = False
    shows_hard = True

    def __init__(self, voxels: "VoxelSlopes | None" = None) -> None:
        self.slope, self.voxels = None, voxels

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return hard


class LGM(GradientMethod):
    """The leaded gradient: soft occupancy, in both passes (Tao et al. 2024, Eq. 4, 13, 15, 19)."""

    name = "lgm"

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return soft


class Soft(GradientMethod):
    """Soft occupancy, a constant to autograd: tells what LGM owes to its forward pass and not to its gradient."""

    name = "soft"

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:  # noqa: ARG002
        return soft.detach()


class StraightThrough(GradientMethod):
    """Hard occupancy in the forward pass, with the gradient of the soft one."""

    name = "straight-through"
    shows_hard = True

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:
        return hard + (soft - soft.detach())  # the difference is exactly 0


def _named(slopes: Mapping[str, float], name: str) -> float | None:
    """Return the slope of a unit: its own, else that of the first pattern which fits its name, else None."""
    if name in slopes:
        return slopes[name]
    return next((slope for pattern, slope in slopes.items() if fnmatchcase(name, pattern)), None)


class _State(NamedTuple):
    gradient: GradientMethod
    slope: float
    reach: "Reach | None"


_HARD = _State(FGM(), math.inf, None)
_KEY = "lgm_bench.gradients_in_force"


def _in_force() -> Mapping["Unit", _State]:
    """Return what is in force in this thread, by unit.

    It is kept where PyTorch keeps its own modes. Autograd hands these on to the threads in which it computes on GPUs,
    so that a checkpointed forward pass is repeated there as it was; `threading.local` and `contextvars` it does not.
    """
    found: Mapping[Unit, _State] = torch._C._get_obj_in_tls(_KEY) if torch._C._is_key_in_tls(_KEY) else {}
    return found


def _put_in_force(states: Mapping["Unit", _State]) -> None:
    torch._C._stash_obj_in_tls(_KEY, states)


class Unit(nn.Module):
    """A place where a network decides; hard, unless a `GradientMethod` is applied to a network that it is part of.

    What is in force is no state of the module: copies and pickles of a unit are hard, and other threads do not see it.
    """

    def own_slope(self, reach: "Reach | None") -> float | None:  # noqa: ARG002
        """Return the "auto" slope of a unit whose margins have the same scale in every network; None: it is measured.

        Args:
            reach: How far the attack can move points.
        """
        return None

    @property
    def gradient(self) -> GradientMethod:
        """The method in force."""
        return self._state.gradient

    @property
    def slope(self) -> float:
        """The slope of the soft occupancy; infinite where the method in force has none."""
        return self._state.slope

    @property
    def reach(self) -> "Reach | None":
        """How far the attack in progress can move points; None for images, and where nothing bounds it."""
        return self._state.reach

    @property
    def _state(self) -> _State:
        return self.__dict__.get("_of_replica") or _in_force().get(self, _HARD)

    def _replicate_for_data_parallel(self) -> "Unit":
        """Return a replica for one forward pass, in a thread of `nn.DataParallel`, under what is in force here."""
        replica: Unit = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica.__dict__["_of_replica"] = self._state
        return replica


def gradient_named(name: str, slope: float | str | None = None, voxels: "VoxelSlopes | None" = None) -> GradientMethod:
    """Return a gradient method by its name.

    Args:
        name: Registered, or `package.module:Class` of a user's own.
        slope: Slope of the soft occupancy; None: "auto", or none where the method has none.
        voxels: See `GradientMethod`.

    Raises:
        UnknownNameError: There is no such method.
        ConfigError: It is no `GradientMethod`, or has no slope and one is given.
    """
    kind: Any = resolve("gradient", name, GRADIENTS)
    if not (isinstance(kind, type) and issubclass(kind, GradientMethod)):
        raise ConfigError(f"gradient {name!r} is no class derived from lgm_bench.leaded.GradientMethod")
    if not kind.softens and slope is not None:
        raise ConfigError(f"gradient {name!r} has no slope, got {slope}; leave it out, or take another gradient")
    options = {} if slope is None else {"slope": slope}
    return kind(voxels=voxels, **options)
