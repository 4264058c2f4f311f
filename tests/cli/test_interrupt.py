"""Ctrl-C, as a terminal sends it to the process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from answers import Command

TESTS = Path(__file__).resolve().parent.parent


def test_ctrl_c_says_how_to_go_on_and_nothing_is_lost(lgm_bench: Command, tiny_bench: Path, tmp_path: Path) -> None:
    tiny_bench.write_text(tiny_bench.read_text().replace("attacks: fgsm", "attacks: {name: bim, steps: 60}"))
    command = ["run", str(tiny_bench), "--set", "suites.tiny.grids.0.gradients=fgm", "--batch-size", "2"]
    environment = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lgm_bench", *command], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[2/2]"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    err = process.stderr.read()
    assert process.wait(60) == 130, err
    assert err.splitlines()[-1] == f"To go on: lgm-bench {' '.join(command)}"
    assert "Traceback" not in err
    again = lgm_bench(*command)
    assert again.code == 0, again.err
    assert "tiny_networks:Linear bim eps 1 FGM: clean" in again.err
    assert again.err.count("(from the results folder)") == 1
