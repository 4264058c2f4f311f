"""What computes the sums of sparse convolutions: this project's own code, MinkowskiEngine or spconv."""

from lgm_bench.sparse.backends.choice import BACKENDS, NATIVE, active_backend, use_backend
from lgm_bench.sparse.backends.interface import Backend, Convolution

__all__ = ["BACKENDS", "NATIVE", "Backend", "Convolution", "active_backend", "use_backend"]
