"""`--devices N`: N processes of this machine under torchrun's process launcher, each making the same call.

They are programs of their own, so that this works from the console script, from a script without a main guard, from a
notebook and from a test. This process only waits, and passes on what process 0 says.
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
from typing import Any, cast

from torch import distributed
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, PContext, SignalException, start_processes

from lgm_bench.errors import LgmBenchError, RunInterruptedError
from lgm_bench.evaluation.engine.observer import Observer, SilentObserver
from lgm_bench.evaluation.engine.place import here
from lgm_bench.evaluation.engine.ranks import LostProcessError, meeting_point, portable

HOST, POLL_S = "127.0.0.1", 0.05
_PROGRAM = "from lgm_bench.evaluation.engine.launch import main; main()"


def launched(devices: int, call: Callable[..., Any], arguments: Mapping[str, Any], observer: Observer) -> Any:
    """Return what a call returns in process 0 of several that make it.

    Args:
        devices: Number of processes.
        call: A function of a module, which takes an `observer` besides.
        arguments: Its other arguments.
        observer: Is told what process 0 tells.

    Raises:
        LgmBenchError: What the call raised.
        LostProcessError: A process was killed.
        RunInterruptedError: This process was told to end.
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
            raise RunInterruptedError(
                "interrupted; finished batches are kept, and the same command goes on where this one stopped"
            ) from error
        finally:
            processes.close(signal.SIGKILL)
    if not store.check(["answer"]):
        raise LostProcessError("process 0 ended before its time; finished batches are kept: run again to go on")
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
        answer = call(**arguments, observer=SilentObserver() if place.rank else cast(Observer, _Passed(store)))
    except LgmBenchError as error:
        answer = portable(error)
    if place.rank == 0:
        store.set("answer", pickle.dumps(answer))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is said and written: threads of libraries, which now and then abort at an exit, end here


class _Passed:
    """An observer that passes everything on to the process that started this one."""

    def __init__(self, store: Any) -> None:
        self._store, self._number = store, 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        def passed_on(*arguments: Any) -> None:
            self._store.set(f"event/{self._number}", pickle.dumps((name, arguments)))
            self._number += 1

        return passed_on


def _wait(processes: PContext, store: Any, observer: Observer) -> None:
    """Wait for the processes to end, and pass on what is told meanwhile."""
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
    """Return what torchrun tells a process, and what lets it import what this one can import."""
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
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is there already
    }


@contextmanager
def _quiet_and_restored() -> Iterator[None]:
    """Keep the launcher from reporting every signal that it sends, and put the signal handlers back."""
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
    """End this process once the one that started it is gone, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
