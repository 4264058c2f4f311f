"""Running cells: each is read from the results folder, or computed, or resumed where it was left."""

from collections.abc import Sequence
from pathlib import Path

from lgm_bench.bench.cell import Cell
from lgm_bench.bench.observer import Observer
from lgm_bench.bench.record import CellResult


class RunResults(list[CellResult]):
    """Results in the order of the cells, without the failed ones.

    Attributes:
        failures: The cells that failed, each with its error.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[tuple[Cell, Exception]] = []


def run_cells(
    cells: Sequence[Cell],
    out: Path,
    *,
    data_root: Path | str | None = None,
    batch_size: int = 128,
    accelerator: str = "auto",
    devices: int = 1,
    seed: int | None = None,
    observer: Observer | None = None,
) -> RunResults:
    """Return the results of `cells`, computing what `out` does not hold yet.

    Args:
        cells: What to run.
        out: Results folder; each cell has a folder of its own inside.
        data_root: The data set's own folder; None for the datamodule's default.
        batch_size: Images per batch and process; it does not change the results.
        accelerator: Lightning's name of the accelerator: "auto", "cpu", "gpu".
        devices: Number of processes, one a device.
        seed: Replaces the seed of every cell.
        observer: Is told of progress.

    Raises:
        ConfigError: A cell names something unknown or has a value that makes no sense; nothing was run.
        RunInterruptedError: Ctrl-C; finished batches are kept and the same call resumes.
    """
    raise NotImplementedError
