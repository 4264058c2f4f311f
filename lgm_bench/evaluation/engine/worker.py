"""One of several processes that share the samples of a cell; `workers.py` starts it and sends it jobs."""

import os
import pickle
import select
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

from torch import distributed

from lgm_bench.errors import CheckpointError, LgmBenchError
from lgm_bench.evaluation.engine.building import build_data, build_victim, weights_sha256
from lgm_bench.evaluation.engine.compute import Job, compute
from lgm_bench.evaluation.engine.launch import Place
from lgm_bench.evaluation.engine.sink import Event, Iteration

NO_TIMEOUT = timedelta(days=7)
"""How long a process waits for the last batches of the others, which may take hours."""


class Finished:
    """A process's share of a job is done."""


def main() -> None:
    """Do the jobs that come through the pipe, until it is closed."""
    connection, rendezvous, accelerator = Connection(int(sys.argv[1])), sys.argv[2], sys.argv[3]
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "nccl" if accelerator in ("gpu", "cuda") else "gloo"
    distributed.init_process_group(
        backend, init_method=f"file://{rendezvous}", rank=rank, world_size=world, timeout=NO_TIMEOUT
    )
    while True:
        try:
            job = pickle.loads(connection.recv_bytes())
        except EOFError:  # whoever sent the jobs has ended
            return
        try:
            _do(job, rank, connection)
            send(connection, Finished())
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:
            send(connection, portable(error))


def _end_with(connection: Connection) -> None:
    """End this process once the other end of the pipe is closed: whoever wanted the results is gone."""
    closed = select.poll()
    closed.register(connection.fileno(), 0)  # no event but that one
    closed.poll()
    os._exit(1)


def send(connection: Connection, message: Any) -> None:
    """Send an object. Tensors inside are copied, and not shared through a file as `Connection.send` does it."""
    connection.send_bytes(pickle.dumps(message))


def _do(job: Job, rank: int, connection: Connection) -> None:
    def tell(event: Event) -> None:
        if rank == 0 or not isinstance(event, Iteration):
            send(connection, event)

    take_part(job, tell)


def take_part(job: Job, tell: Callable[[Event], None], place: Place | None = None) -> None:
    """Do this process's share of a job.

    Args:
        job: What to do.
        tell: Takes news.
        place: Which process this is, if something else than lgm-bench started it.

    Raises:
        CheckpointError: The victim is another one here than where the job was made.
    """
    victim = build_victim(job.cell)
    if weights_sha256(victim) != job.weights:
        raise CheckpointError(
            f"the weights of {job.cell.victim.name} are not the same in all processes; do not change them while a run "
            "starts, and bring the same ones to every machine"
        )
    compute(job, victim, build_data(job.cell, job.data_root, job.batch_size), tell, place)


def portable(error: Exception) -> Exception:
    """Return the error if it can be sent, else one that says the same; its traceback becomes a note."""
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
    return copy
