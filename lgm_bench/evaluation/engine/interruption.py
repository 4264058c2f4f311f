"""Ctrl-C and SIGTERM during a run: one error of ours, and signal handlers as they were."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pytorch_lightning import Callback, LightningModule, Trainer

from lgm_bench.errors import RunInterruptedError


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn an interruption inside the block into `RunInterruptedError`.

    Lightning answers Ctrl-C by ignoring all further ones and leaving the program, and SIGTERM not before the end of a
    batch, which may be hours away; neither does for a library. It calls a handler that it finds, so there is one.

    Raises:
        RunInterruptedError: The block was interrupted.
    """
    ours = threading.current_thread() is threading.main_thread()  # only there may handlers be set
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if ours and handlers[signal.SIGTERM] is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        raise RunInterruptedError(
            "interrupted; finished batches are kept, and the same command goes on where this one stopped"
        ) from error
    finally:
        if ours:
            for number, handler in handlers.items():
                signal.signal(number, handler)


class SignalsStay(Callback):
    """Gives SIGTERM back to the handler that was there before Lightning's.

    Lightning's waits for the end of a batch.
    """

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Put it back; Lightning registered its own just before."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(128 + number)
