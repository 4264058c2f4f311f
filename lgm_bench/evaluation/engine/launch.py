"""Starting several processes for a run, and ending it when it is interrupted.

`--devices N` starts N processes on this machine with torchrun's process launcher, and each makes the same call. They
are separate programs, so this works from the console script, a script without a main guard, a notebook and a test. The
starting process only waits, and passes on the events of process 0.
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, PContext, SignalException, start_processes

from lgm_bench.errors import LgmBenchError, LostProcessError, RunInterruptedError
from lgm_bench.evaluation.engine.place import here
from lgm_bench.evaluation.engine.progress import Observer
from lgm_bench.evaluation.engine.ranks import meeting_point, portable

HOST, POLL_S = "127.0.0.1", 0.05
INTERRUPTED = "interrupted; finished batches are kept, and the same command goes on where this one stopped"
_PROGRAM = "from lgm_bench.evaluation.engine.launch import main; main()"


def launched(devices: int, call: Callable[..., Any], arguments: Mapping[str, Any], observer: Observer) -> Any:
    """Make a call in `devices` processes, and return the value that process 0 gets.

    `call` is a function of a module and takes an `observer`. The events of process 0 are passed on to `observer` here.

    Raises:
        LgmBenchError: The call's own error.
        LostProcessError: A process was killed.
        RunInterruptedError: This process was interrupted.
    """
    store: Any = distributed.TCPStore(HOST, 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    store.set("call", pickle.dumps((call, dict(arguments), os.getpid())))
    with _quiet_and_restored():
        processes = start_processes(
            "lgm-bench",
            sys.executable,
            dict.fromkeys(range(devices), ("-c", _PROGRAM)),
            {rank: _environment(rank, devices, store.port) for rank in range(devices)},
            DefaultLogsSpecs(os.devnull),
        )
        try:
            _wait(processes, store, observer)
        except SignalException as error:
            processes.close(error.sigval)
            raise RunInterruptedError(INTERRUPTED) from error
        finally:
            processes.close(signal.SIGKILL)
    if not store.check(["answer"]):
        raise LostProcessError("process 0 ended too early; finished batches are kept: run again to go on")
    answer = pickle.loads(store.get("answer"))
    if isinstance(answer, Exception):
        raise answer
    return answer


def main() -> None:
    """Make the call in one of the processes."""
    place = here()
    store = meeting_point(place)
    call, arguments, parent = pickle.loads(store.get("call"))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        answer = call(**arguments, observer=Observer() if place.rank else cast(Observer, _Passed(store)))
    except LgmBenchError as error:
        answer = portable(error)
    if place.rank == 0:
        store.set("answer", pickle.dumps(answer))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # everything is written, and an ordinary exit sometimes aborts in library threads


class _Passed:
    """An observer that passes every event on to the process that started this one."""

    def __init__(self, store: Any) -> None:
        self._store, self._number = store, 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        def passed_on(*arguments: Any) -> None:
            self._store.set(f"event/{self._number}", pickle.dumps((name, arguments)))
            self._number += 1

        return passed_on


def _wait(processes: PContext, store: Any, observer: Observer) -> None:
    """Wait for the processes to end, and pass on the events of process 0 meanwhile."""
    number = 0
    while True:
        result = processes.wait(timeout=0)
        while store.check([key := f"event/{number}"]):
            name, arguments = pickle.loads(store.get(key))
            store.delete_key(key)
            number += 1
            getattr(observer, name)(*arguments)
        if result is None:
            time.sleep(POLL_S)
            continue
        for failure in result.failures.values():  # the first one ended by itself
            code, n = failure.exitcode, len(processes.pids())
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise LostProcessError(
                f"process {failure.local_rank} of {n} {ended}; finished batches are kept: run again to go on, with a "
                "smaller --batch-size or fewer --devices if memory is short"
            )
        return


def _environment(rank: int, devices: int, port: int) -> dict[str, str]:
    """Return a process's environment: torchrun's variables, and this process's import path."""
    threads = max(1, (os.cpu_count() or 1) // devices)
    return {
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(devices),
        "MASTER_ADDR": HOST,
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store exists already
    }


@contextmanager
def _quiet_and_restored() -> Iterator[None]:
    """Keep the launcher from logging every signal that it sends, and restore the signal handlers."""
    log = logging.getLogger("torch.distributed.elastic")
    level, handlers = log.level, {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        handlers = {number: signal.getsignal(number) for number in numbers}
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end_with(parent: int) -> None:
    """End this process as soon as its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn an interruption inside the block into `RunInterruptedError`.

    On Ctrl-C, Lightning leaves the program and ignores any further Ctrl-C. On SIGTERM it waits for the end of the
    batch, which may take hours. It keeps a handler that was set before, so this function sets one.

    Raises:
        RunInterruptedError: The block was interrupted.
    """
    ours = threading.current_thread() is threading.main_thread()  # handlers can only be set there
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if ours and handlers[signal.SIGTERM] is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        raise RunInterruptedError(INTERRUPTED) from error
    finally:
        if ours:
            for number, handler in handlers.items():
                signal.signal(number, handler)


class SignalsStay(Callback):
    """Restores the SIGTERM handler, since Lightning's own waits for the end of a batch."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Restore the handler; Lightning registered its own just before."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


class _Terminated(SystemExit):
    """SIGTERM, as opposed to a `sys.exit()` in a user's own code."""


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _Terminated(128 + number)
