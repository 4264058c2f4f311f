"""One evaluation by processes that torchrun or srun started: rank 0 leads, the others do what it says.

They talk through the key-value store in which torch.distributed lets them meet. Each job has a process group of its
own, of as many ranks as have samples, so that a cell that fails takes no other with it.
"""

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from torch import distributed
from torch.distributed.rendezvous import rendezvous

from lgm_bench.errors import LgmBenchError, RunInterruptedError
from lgm_bench.evaluation.engine.compute import Job
from lgm_bench.evaluation.engine.launch import Place
from lgm_bench.evaluation.engine.sink import BatchDone, Event
from lgm_bench.evaluation.engine.worker import NO_TIMEOUT, portable, take_part

MEETING = timedelta(minutes=5)
BEAT_S, SILENCE_S, POLL_S = 1.0, 30.0, 0.05
_stores: dict[Place, Any] = {}
_calls = 0


class LostProcessError(LgmBenchError):
    """A process of the run is gone, and whoever started it has to start it again."""


class _CancelledError(Exception):
    """Another process failed, so that this one need not go on."""


class _Failure(NamedTuple):
    """A process could not do its share; it was the `place`-th that could not, and those behind only felt the first."""

    place: int
    error: Exception


class Ranks:
    """The processes of one call of `run_cells`, as one of them sees them.

    Raises:
        LostProcessError: They do not all come.
    """

    def __init__(self, place: Place) -> None:
        global _calls
        self.place = place
        self._store: Any = distributed.PrefixStore(f"lgm-bench/{_calls}", _met(place))  # type: ignore[attr-defined]
        _calls += 1
        self._jobs, self._seen = 0, dict.fromkeys(range(1, place.world), (0, time.monotonic()))
        self._ended = threading.Event()
        if place.rank:
            threading.Thread(target=self._beat, daemon=True).start()

    # What rank 0 does.

    def run(self, job: Job, tell: Callable[[Event], None]) -> None:
        """Do a job in the first `job.devices` processes, this one among them.

        Args:
            job: What to do.
            tell: Takes the events of all of them, in this thread.

        Raises:
            LostProcessError: One of them is gone.
            Exception: What the first that failed raised; the others have then stopped.
        """
        number, others = self._announce(job), range(1, job.devices)
        told = dict.fromkeys(others, 0)

        def tell_all(event: Event | None) -> None:
            if event is not None:
                tell(event)
            for rank in others:
                while (message := self._taken(f"event/{number}/{rank}/{told[rank]}")) is not None:
                    told[rank] += 1
                    tell(message)
            self._check(number, others)

        ends = [self._do(number, job, tell_all)]
        ends += [self._wait_for(f"done/{number}/{rank}", [rank]) for rank in others]
        failures = sorted((end for end in ends if end is not None), key=lambda end: end.place)
        if failures:
            raise failures[0].error
        tell_all(None)

    def end(self, results: Any) -> None:
        """Let the others go, with what they are to return; None: the run ended early."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._announce_end(results)

    # What the others do.

    def follow(self) -> Any:
        """Do what rank 0 says until it ends; return what it says then.

        Raises:
            RunInterruptedError: Rank 0 ended early.
            LostProcessError: Rank 0 is gone.
        """
        try:
            while True:
                message = self._wait_for(f"job/{self._jobs}", [])
                self._put(f"here/{self._jobs}/{self.place.rank}", None)
                if not isinstance(message, Job):
                    break
                self._follow_job(self._jobs, message)
                self._jobs += 1
        except (distributed.DistError, ConnectionError) as error:
            raise LostProcessError(
                f"process 0 of {self.place.world} is gone; finished batches are kept: run again to go on"
            ) from error
        finally:
            self._ended.set()
        if message is None:
            raise RunInterruptedError("process 0 ended the run early; finished batches are kept")
        return message

    def _follow_job(self, number: int, job: Job) -> None:
        if self.place.rank >= job.devices:
            return
        sent = 0

        def tell(event: Event) -> None:
            nonlocal sent
            if isinstance(event, BatchDone):
                self._put(f"event/{number}/{self.place.rank}/{sent}", event)
                sent += 1
            self._check(number, [])

        end = self._do(number, job, tell)
        if end is not None:
            end = _Failure(end.place, portable(end.error))
        self._put(f"done/{number}/{self.place.rank}", end)

    # What both do.

    def _do(self, number: int, job: Job, tell: Callable[[Event], None]) -> "_Failure | None":
        store = distributed.PrefixStore(f"group/{number}", self._store)  # type: ignore[attr-defined]
        with _group(store, self.place.rank, job.devices):
            try:
                take_part(job, tell, self.place)
            except Exception as error:  # told before the group ends, which makes the others fail too
                return _Failure(self._store.add(f"failed/{number}", 1), error)
        return None

    def _check(self, number: int, others: Any) -> None:
        """Leave a job that has failed elsewhere."""
        if self._store.check([f"failed/{number}"]):
            raise _CancelledError
        self._require_alive(others)

    def _announce(self, job: Job) -> int:
        number = self._jobs
        self._put(f"job/{number}", job)
        everybody = list(self._seen)
        for rank in everybody:
            self._wait_for(f"here/{number}/{rank}", [rank])
        self._jobs += 1
        return number

    def _announce_end(self, results: Any) -> None:
        """Say that this is the end; the store may end with this process, so let everybody hear it first.

        A run that ends early has no time: a process may be gone, and torchrun kills what does not end when it is told.
        """
        try:
            self._put(f"job/{self._jobs}", results)
            until = time.monotonic() + (2 * SILENCE_S if results is not None else POLL_S)
            for rank in self._seen:
                while not self._store.check([f"here/{self._jobs}/{rank}"]) and time.monotonic() < until:
                    time.sleep(POLL_S)
        except (distributed.DistError, ConnectionError):
            return  # whoever is gone needs no news

    def _put(self, key: str, value: Any) -> None:
        self._store.set(key, pickle.dumps(value))

    def _wait_for(self, key: str, ranks: Any) -> Any:
        while not self._store.check([key]):
            self._require_alive(ranks)
            time.sleep(POLL_S)
        return pickle.loads(self._store.get(key))

    def _taken(self, key: str) -> Any:
        if not self._store.check([key]):
            return None
        message = pickle.loads(self._store.get(key))
        self._store.delete_key(key)
        return message

    def _beat(self) -> None:
        """Show that this process is alive, whatever it is computing."""
        while not self._ended.wait(BEAT_S):
            try:
                self._store.add(f"beat/{self.place.rank}", 1)
            except (RuntimeError, ConnectionError):
                return

    def _require_alive(self, ranks: Any) -> None:
        now = time.monotonic()
        for rank in ranks:
            beats, when = self._seen[rank]
            if now - when < 2 * BEAT_S:
                continue
            latest = self._store.add(f"beat/{rank}", 0)
            if latest != beats:
                self._seen[rank] = latest, now
            elif now - when > SILENCE_S:
                raise LostProcessError(
                    f"process {rank} of {self.place.world} is gone; finished batches are kept: run again to go on, "
                    "with a smaller --batch-size or fewer processes if memory is short"
                )


def _met(place: Place) -> Any:
    """Return the store in which all processes meet, one for the life of this process."""
    if place not in _stores:
        try:
            query = f"env://?rank={place.rank}&world_size={place.world}"
            _stores[place], _, _ = next(iter(rendezvous(query, timeout=MEETING)))
        except (distributed.DistError, TimeoutError, OSError) as error:
            raise LostProcessError(
                f"process {place.rank} of {place.world} met no others at {place.address}:{place.port} ({error}); start "
                "all of them together with torchrun or srun, or set MASTER_ADDR and MASTER_PORT"
            ) from error
    return _stores[place]


@contextmanager
def _group(store: Any, rank: int, world: int) -> Iterator[None]:
    """Be one of `world` processes for torch.distributed until the block is left.

    With gloo on GPUs too: it notices a process that ends, and all they exchange is a few numbers at the end.
    """
    if world == 1:
        yield
        return
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=NO_TIMEOUT)
    try:
        yield
    finally:
        distributed.destroy_process_group()
