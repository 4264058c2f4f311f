"""Compares the backend spconv-triton with native on the CPU; `test_spconv_triton.py` starts this as a process.

Triton's interpreter computes the kernels, which takes TRITON_INTERPRET=1 from the first import on. The kernels' callers
ask for CUDA tensors, and the search for the fastest block sizes asks for a driver, so both are switched off here.
"""

from unittest.mock import patch

import torch
from spconv_triton.pytorch._impl import gemm
from test_backends import Everything, outcome

from lgm_bench.sparse.backends import use_backend


def main() -> None:
    gemm._gather_gemm_kernel.configs = gemm._gather_gemm_kernel.configs[:1]
    with patch("torch.cuda.is_available", lambda: True):
        chosen = use_backend("spconv-triton")
    for occupancy in (False, True):
        network = Everything()
        with chosen as backend, patch.object(torch.Tensor, "is_cuda", True):
            its = outcome(network, torch.float32, occupancy)
        kernels = {table.masks is None for table in backend._tables.values()}
        if kernels != {False, True}:
            raise SystemExit("kernels of 27 and of 125 offsets should both have been used")
        for one, other in zip(its, outcome(network, torch.float32, occupancy), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    main()
