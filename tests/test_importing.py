"""What importing lgm_bench sets for OpenMP, in fresh interpreters."""

import os
import subprocess
import sys

import pytest

REMEDY = "OMP_WAIT_POLICY=passive in the environment"


@pytest.mark.parametrize(
    ("program", "given", "warned"),
    [
        ("import lgm_bench, torch", {}, False),
        ("import torch; torch.set_num_threads(2); import lgm_bench; import lgm_bench.leaded", {}, True),
        ("import torch; torch.set_num_threads(2); import lgm_bench", {"OMP_WAIT_POLICY": "active"}, False),
        ("import torch; torch.set_num_threads(1); import lgm_bench", {}, False),
    ],
)
def test_who_imports_torch_first_reads_the_remedy_once(program: str, given: dict[str, str], warned: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    program += "; import os; print(os.environ['OMP_WAIT_POLICY'])"
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stderr.count(REMEDY) == warned
    assert ran.stdout.strip() == given.get("OMP_WAIT_POLICY", "passive")
