"""MinkowskiEngine 0.5: its convolutions between our coordinate levels."""

import collections
import collections.abc
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from lgm_bench.sparse.backends import Convolution
from lgm_bench.sparse.kernel_map import KernelMap
from lgm_bench.sparse.level import CoordinateLevel


@dataclass
class _Placed:
    """Two levels in a coordinate manager of the engine, with the engine's own order of rows."""

    manager: Any
    source_key: Any
    target_key: Any
    rows_of_source: Tensor  # row of the level for each of the engine's
    rows_in_engine: Tensor  # the engine's row for each of the target's


class MinkowskiBackend:
    """Convolutions of MinkowskiEngine, each with its own coordinate manager, which lives as long as the kernel map.

    Raises:
        ImportError: MinkowskiEngine is not installed.
    """

    name = "minkowski"

    def __init__(self) -> None:
        if not hasattr(collections, "Sequence"):
            collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]  # gone since Python 3.10
        import MinkowskiEngine
        from MinkowskiEngineBackend._C import ConvolutionMode

        self.engine: ModuleType = MinkowskiEngine
        self._mode = ConvolutionMode.DEFAULT
        self._placed: WeakKeyDictionary[KernelMap, _Placed] = WeakKeyDictionary()

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return the result of the engine's convolution, or transposed convolution, between the two levels."""
        if len(weight) == 1 and convolution.source is convolution.target:
            return features @ weight[0]  # as the engine's own layer does
        if convolution.kernel_map not in self._placed:
            self._placed[convolution.kernel_map] = self._place(convolution)
        placed = self._placed[convolution.kernel_map]
        generator = self.engine.KernelGenerator(
            kernel_size=convolution.kernel_size,
            stride=self._stride(convolution),
            dilation=1,
            is_transpose=convolution.transposed,
            dimension=3,
        )
        kind = "MinkowskiConvolutionTransposeFunction" if convolution.transposed else "MinkowskiConvolutionFunction"
        out: Tensor = getattr(self.engine, kind).apply(
            features[placed.rows_of_source],
            weight,
            generator,
            self._mode,
            placed.source_key,
            placed.target_key,
            placed.manager,
        )
        return out[placed.rows_in_engine]

    def _stride(self, convolution: Convolution) -> list[int]:
        fine, coarse = convolution.source.stride, convolution.target.stride
        if convolution.transposed:
            fine, coarse = coarse, fine
        return [c // f for f, c in zip(fine, coarse, strict=True)]

    def _place(self, convolution: Convolution) -> _Placed:
        manager = self.engine.CoordinateManager(D=3)

        def insert(level: CoordinateLevel, name: str) -> tuple[Any, Tensor, Tensor]:
            key, (rows, places) = manager.insert_and_map(level.coordinates.int(), list(level.stride), name)
            return key, rows.long(), places.long()

        source_key, rows, places = insert(convolution.source, "source")
        target_key = source_key
        if convolution.source is not convolution.target:
            target_key, _, places = insert(convolution.target, "target")
        return _Placed(manager, source_key, target_key, rows, places)
