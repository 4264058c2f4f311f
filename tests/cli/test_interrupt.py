"""Ctrl-C, as a terminal sends it to the process."""

import time
from pathlib import Path

from answers import Command
from forked import Program


def test_ctrl_c_says_how_to_go_on_and_nothing_is_lost(lgm_bench: Command, tiny_bench: Path, tmp_path: Path) -> None:
    tiny_bench.write_text(tiny_bench.read_text().replace("attacks: fgsm", "attacks: {name: bim, steps: 20}"))
    command = ["run", str(tiny_bench), "--set", "suites.tiny.grids.0.gradients=fgm", "--batch-size", "2"]
    program = Program(*command, folder=tmp_path)
    program.wait_for("[2/2]")
    time.sleep(0.1)
    program.interrupt()
    assert program.wait() == 130, program.err
    assert program.err.splitlines()[-1] == f"To go on: lgm-bench {' '.join(command)}"
    assert "Traceback" not in program.err
    again = lgm_bench(*command)
    assert again.code == 0, again.err
    assert "tiny_networks:Adaptive bim eps 2/255 FGM: clean" in again.err
    assert again.err.count("(from the results folder, 2") == 1
