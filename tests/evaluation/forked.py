"""Work done in a copy of this process, which may be killed or crippled without harm: quicker than a new program."""

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import torch

from lgm_bench.cli import main

_FORK = multiprocessing.get_context("fork")


def ended_by(work: Callable[[], object]) -> tuple[int | None, str]:
    """Do work in a copy of this process.

    Returns:
        Its exit code, minus the signal if one killed it, and the type and text of the error that the work raised.
    """
    ours, theirs = multiprocessing.Pipe()

    def alone() -> None:
        _alone()
        try:
            work()
        except BaseException as error:
            theirs.send(f"{type(error).__name__}: {error}")

    process = _FORK.Process(target=alone)
    process.start()
    theirs.close()
    try:
        text = ours.recv() if ours.poll(120) else "no answer"
    except EOFError:
        text = ""
    process.join(120)
    return process.exitcode, text


def together(work: Callable[..., object], *arguments: object) -> None:
    """Do work, which is told its rank before the arguments, in two copies of this process at once."""
    torch.multiprocessing.start_processes(_ranked, (work, *arguments), nprocs=2, start_method="fork")


class Program:
    """A call of lgm-bench in a copy of this process, with arguments, folder, environment and output of its own."""

    def __init__(self, *arguments: object, folder: Path, **environment: str) -> None:
        self._out, self._err = (tempfile.TemporaryFile("w+", buffering=1) for _ in range(2))  # noqa: SIM115
        self._process = _FORK.Process(target=self._run, args=(list(map(str, arguments)), folder, environment))
        self._process.start()

    def wait_for(self, text: str) -> None:
        """Wait until a text is in what it says."""
        while text not in self.err:
            assert self._process.is_alive(), self.err
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.kill(int(self._process.pid or 0), signal.SIGINT)

    def wait(self, timeout: float = 120) -> int:
        """Return the exit code."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, self.err
        return self._process.exitcode

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return _content(self._out)

    @property
    def err(self) -> str:
        """What it has said so far."""
        return _content(self._err)

    def _run(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        _alone()
        sys.stdout, sys.stderr = self._out, self._err
        sys.argv = ["lgm-bench", *arguments]
        os.environ |= environment
        os.chdir(folder)
        main()


def free_port() -> str:
    """Return a port of this machine that nobody listens to."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return str(some.getsockname()[1])


def _content(file: TextIO) -> str:
    """What is in a file, whoever writes there at the moment."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


def _ranked(rank: int, work: Callable[..., object], *arguments: object) -> None:
    _alone()
    work(rank, *arguments)


def _alone() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # nor may Lightning ask for more
    torch.set_num_threads(1)  # the threads of this process are not in its copy
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a new program
