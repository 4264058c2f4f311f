"""Ctrl-C and SIGTERM during a run: one error of ours, and signal handlers as they were."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lgm_bench.errors import RunInterruptedError


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Turn an interruption inside the block into `RunInterruptedError`.

    Lightning answers Ctrl-C by ignoring all further ones and leaving the program, and SIGTERM by an exit of its own;
    neither does for a library.

    Args:
        stop: Called whenever the block is left.

    Raises:
        RunInterruptedError: The block was interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        raise RunInterruptedError(
            "interrupted; finished batches are kept, and the same command goes on where this one stopped"
        ) from error
    finally:
        stop()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
