"""How several processes, which run the same program over the same cells, come to agree.

Every process makes the same calls in the same order. They exchange errors, decisions and a few counts, so the process
group is gloo's, on GPUs too.
"""

import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from torch import distributed
from torch.distributed.rendezvous import rendezvous

from lgm_bench.errors import LgmBenchError, LostProcessError, place
from lgm_bench.evaluation.engine.place import ALONE, Place

MEETING = timedelta(minutes=5)
"""How long a process waits for the others to start."""
LONGEST_SHARE = timedelta(days=7)
"""How long it waits for the others to finish their share of a cell."""

T = TypeVar("T")


class _CancelledError(Exception):
    """Another process failed, so this one stopped."""


class Ranks:
    """The processes of a run, seen from the one at `place`.

    Raises:
        LostProcessError: The other processes did not start in time.
    """

    def __init__(self, place: Place = ALONE) -> None:
        self.place = place
        self._meetings = 0
        self._store: Any = None
        if place.world > 1:
            store = distributed.PrefixStore("lgm-bench", meeting_point(place))  # type: ignore[attr-defined]
            self._store = store
            if not distributed.is_initialized():
                distributed.init_process_group(
                    "gloo", store=store, rank=place.rank, world_size=place.world, timeout=LONGEST_SHARE
                )

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes for all."""
        return self.place.rank == 0

    def together(self, work: Callable[[], T]) -> T:
        """Do work in every process, wait for all, and return this process's result.

        Raises:
            Exception: Work failed somewhere; all processes raise the error of the first one that failed.
            LostProcessError: A process is gone.
        """
        if self.place.world == 1:
            return work()
        self._meetings += 1
        failed: Exception | None = None
        try:
            result = work()
        except LostProcessError:
            raise
        except Exception as error:
            failed = portable(error)
            with _reaching_the_others():
                self._store.set(self._alarm, b"")
        failures = [failure for failure in self.gathered(failed) if failure is not None]
        for failure in sorted(failures, key=lambda failure: isinstance(failure, _CancelledError)):
            raise failure
        return result

    def decided(self, work: Callable[[], T]) -> T:
        """Do work in process 0 alone; return its result, or raise its error, in every process."""
        if self.place.world == 1:
            return work()
        result = [self.together(lambda: work() if self.leads else None)]
        with _reaching_the_others():
            distributed.broadcast_object_list(result, src=0)
        return result[0]  # type: ignore[return-value]

    def gathered(self, value: T) -> list[T]:
        """Return the value of every process, by rank."""
        if self.place.world == 1:
            return [value]
        values: list[Any] = [None] * self.place.world
        with _reaching_the_others():
            distributed.all_gather_object(values, value)
        return values

    def differ(self, value: object) -> bool:
        """Return whether the processes have different values."""
        return len(set(self.gathered(value))) > 1

    def report(self, progress: Any) -> list[Any]:
        """Report this process's progress in the work of `together` to process 0; stop if another process has failed.

        Returns:
            The latest reports of the other processes; in process 0 only.
        """
        if self.place.world == 1:
            return []
        with _reaching_the_others():
            if self._store.check([self._alarm]):
                raise _CancelledError
            keys = [f"progress/{self._meetings}/{rank}" for rank in range(self.place.world)]
            if not self.leads:
                self._store.set(keys[self.place.rank], pickle.dumps(progress))
                return []
            return [pickle.loads(self._store.get(key)) for key in keys[1:] if self._store.check([key])]

    @property
    def _alarm(self) -> str:
        return f"failed/{self._meetings}"


@cache
def joined(place: Place) -> Ranks:
    """Return the processes of this run; they connect only once per process."""
    return Ranks(place)


def meeting_point(place: Place) -> Any:
    """Return the key-value store in which the processes meet.

    Raises:
        LostProcessError: The other processes did not start in time.
    """
    address = f"tcp://{place.address}:{place.port}?rank={place.rank}&world_size={place.world}"
    try:
        store, _, _ = next(iter(rendezvous(address, timeout=MEETING)))
    except (distributed.DistError, TimeoutError, OSError) as error:
        raise LostProcessError(
            f"process {place.rank} of {place.world} did not meet the others at {place.address}:{place.port} "
            f"({error}); start all of them together with torchrun or srun, or set MASTER_ADDR and MASTER_PORT"
        ) from error
    return store


@contextmanager
def _reaching_the_others() -> Iterator[None]:
    """Turn torch's error about a lost process into ours."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            "another process of this run is gone; finished batches are kept: run again to go on, with a smaller "
            "--batch-size or fewer processes if memory is short"
        ) from error


def portable(error: Exception) -> Exception:
    """Return the error if it can be pickled, else one with the same text; its traceback becomes a note."""
    note = "".join(traceback.format_exception(error))
    copy: Exception | None
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if copy is None or type(copy) is not type(error):
        text = str(error) if isinstance(error, LgmBenchError) else f"{type(error).__name__}: {error}"
        copy = LgmBenchError(text) if isinstance(error, LgmBenchError) else RuntimeError(text)
    copy.add_note(note)
    copy.__dict__["place"] = place(error)
    return copy
