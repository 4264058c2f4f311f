"""Several processes for one cell, one a device. They are started as programs of their own.

So a run works the same from the console script, from a script without a main guard, from a notebook and from a test.
"""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import cast

from lgm_bench.errors import LgmBenchError
from lgm_bench.evaluation.engine.compute import Job
from lgm_bench.evaluation.engine.sink import BatchDone, Event, Iteration
from lgm_bench.evaluation.engine.worker import Finished, send

_PROGRAM = "from lgm_bench.evaluation.engine.worker import main; main()"


class Workers:
    """Processes that stay for the jobs that follow, as long as these want the same number of them."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def run(self, job: Job, tell: Callable[[Event], None]) -> None:
        """Do a job in `job.devices` processes.

        Args:
            job: What to do.
            tell: Takes the events of all processes, in this thread.

        Raises:
            Exception: What the first failing process raised; all processes are then ended.
        """
        try:
            if len(self._processes) != job.devices:
                self.stop()
                self._start(job.devices, job.accelerator)
            for connection in self._connections:
                send(connection, job)
            self._listen(tell)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all processes. What they have finished is in the results folder, so there is nothing to wait for."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes, self._connections = [], []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self, devices: int, accelerator: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lgm-bench-")
        rendezvous = str(Path(self._folder.name) / "rendezvous")
        threads = max(1, (os.cpu_count() or 1) // devices)
        for rank in range(devices):
            ours, theirs = Pipe()
            process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), rendezvous, accelerator],
                env=_environment(rank, devices, threads),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for this process, which then ends the others
            )
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)

    def _listen(self, tell: Callable[[Event], None]) -> None:
        busy = set(self._connections)
        while busy:
            for connection in cast(list[Connection], wait(list(busy))):
                try:
                    message = pickle.loads(connection.recv_bytes())
                except (EOFError, OSError):
                    raise self._lost(connection) from None
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, Finished):
                    busy.discard(connection)
                elif isinstance(message, BatchDone | Iteration):
                    tell(message)

    def _lost(self, connection: Connection) -> LgmBenchError:
        rank = self._connections.index(connection)
        code = self._processes[rank].wait()
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        return LgmBenchError(
            f"process {rank} of {len(self._processes)} {ended}; finished batches are kept: run again to go on, with a "
            "smaller --batch-size or fewer --devices if memory is short"
        )


def _environment(rank: int, devices: int, threads: int) -> dict[str, str]:
    """Return what tells torch and Lightning which process this is, and lets it import what this one can import."""
    return {
        "OMP_WAIT_POLICY": "passive",
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(devices),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "0",  # unused: the processes meet in a file
    }
