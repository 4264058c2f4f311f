"""One of several processes that share the samples of a cell; `workers.py` starts it and sends it jobs."""

import os
import pickle
import select
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from torch import distributed

from lgm_bench.bench.running.building import build_data, build_victim, weights_sha256
from lgm_bench.bench.running.compute import Job, compute
from lgm_bench.bench.running.sink import Event, Iteration
from lgm_bench.errors import CheckpointError, LgmBenchError


class Finished:
    """A process's share of a job is done."""


def main() -> None:
    """Do the jobs that come through the pipe, until it is closed."""
    connection, rendezvous, accelerator = Connection(int(sys.argv[1])), sys.argv[2], sys.argv[3]
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    rank, world = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    backend = "nccl" if accelerator in ("gpu", "cuda") else "gloo"
    distributed.init_process_group(backend, init_method=f"file://{rendezvous}", rank=rank, world_size=world)
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
            send(connection, _portable(error))


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
    victim = build_victim(job.cell)
    if weights_sha256(victim) != job.weights:
        raise CheckpointError(f"the weights of {job.cell.victim} changed while the run was starting; run it again")
    data = build_data(job.cell, job.data_root, job.batch_size)

    def tell(event: Event) -> None:
        if rank == 0 or not isinstance(event, Iteration):
            send(connection, event)

    compute(job, victim, data, tell)


def _portable(error: Exception) -> Exception:
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
