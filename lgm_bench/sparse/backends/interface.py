"""What a backend has to do."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lgm_bench.sparse.kernel_map import KernelMap
from lgm_bench.sparse.keys import Triple
from lgm_bench.sparse.level import CoordinateLevel


@dataclass(frozen=True)
class Convolution:
    """A convolution between two levels.

    Attributes:
        source: The input's voxels.
        target: The output's voxels.
        kernel_map: The pairs.
        kernel_size: Size of the box of offsets that the pairs have.
        transposed: Whether offsets lead from source to target (upsampling) rather than from target to source.
    """

    source: CoordinateLevel
    target: CoordinateLevel
    kernel_map: KernelMap
    kernel_size: Triple
    transposed: bool = False


class Backend(Protocol):
    """Computes convolutions; occupancy, norms and coordinate levels are none of its business."""

    name: str

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return out (M, C_out), out[target] = sum of features[source] @ weight[k], with gradients to both.

        Args:
            features: (N, C_in) on the source's voxels.
            weight: (K, C_in, C_out), offsets with x running fastest.
            convolution: What is convolved.
        """
        ...
