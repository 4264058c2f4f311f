"""Which data sets and checkpoints are here, and whether they are whole."""

from collections.abc import Iterator
from functools import cache

from datamodules import MARKS
from lgm_bench.cli import inventory
from lgm_bench.cli.diagnosis import BROKEN, MISSING, OK, Finding
from lgm_bench.errors import CheckpointError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import Planned, plan
from lgm_bench.evaluation.readiness import look
from victims.checkpoints import checkpoint_status, default_checkpoint

EMBEDDED_SUITE = "mini"


def data_sets(data_root: str | None) -> Iterator[Finding]:
    """Yield every data set: found where, or what to get.

    Those that are made on the spot need nothing but room in the cache.
    """
    _, wanted = _embedded()
    for item in inventory.data(data_root):
        name = item["name"]
        if name not in MARKS:
            yield Finding("data sets", name, OK, "made on the spot when it is wanted", required=name in wanted)
            continue
        probe = Cell(
            VictimSpec("resnet20-cifar10", "random"), DataSpec(name), AttackSpec("fgsm", 1.0), GradientSpec(NO_GRADIENT)
        )
        found = look([Planned(probe)], data_root)
        if not found.gaps:
            size = found.sizes[name, probe.data.subset]
            yield Finding("data sets", name, OK, f"{item['folder']}, {size:,} sample{'s' * (size != 1)}")
        else:
            status = BROKEN if item["ready"] else MISSING
            yield Finding("data sets", name, status, found.gaps[0].brief)


def checkpoints() -> Iterator[Finding]:
    """Yield every victim's checkpoint: ready with the right sha256, missing with what to get, or damaged."""
    wanted, _ = _embedded()
    for status in checkpoint_status():
        name, required = status.name, status.name in wanted
        if not status.ready:
            yield Finding("checkpoints", name, MISSING, status.detail, required)
            continue
        store, entry = default_checkpoint(name)
        try:
            size = len(store.content(entry))
        except CheckpointError as error:
            yield Finding("checkpoints", name, BROKEN, str(error), required)
        else:
            detail = f"{entry.file}, {size / 1e6:.1f} MB, sha256 {str(entry.sha256)[:12]}"
            yield Finding("checkpoints", name, OK, detail, required)


@cache
def _embedded() -> tuple[frozenset[str], frozenset[str]]:
    """Return the victims and the data sets that the embedded suite cannot do without."""
    cells = [one.cell for one in plan(load_bench(), [EMBEDDED_SUITE]) if not one.optional]
    return frozenset(cell.victim.name for cell in cells), frozenset(cell.data.name for cell in cells)
