"""This project's own kernels, or plain PyTorch where they cannot be compiled."""

from torch import Tensor

from lgm_bench.sparse.backends.interface import Convolution
from lgm_bench.sparse.product import product


class NativeBackend:
    """The default, always there."""

    name = "native"

    def convolve(self, features: Tensor, weight: Tensor, convolution: Convolution) -> Tensor:
        """Return the sums over the pairs."""
        return product(features, weight, convolution.kernel_map)
