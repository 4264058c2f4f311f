"""The findings of `lgm-bench doctor`: what this machine has, and whether the embedded suite can run."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch
from packaging.requirements import Requirement

from datamodules import MARKS
from lgm_bench import __version__
from lgm_bench.cli import inventory
from lgm_bench.errors import CheckpointError, LgmBenchError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, AttackSpec, Cell, DataSpec, GradientSpec, VictimSpec
from lgm_bench.evaluation.cells.config import load_bench
from lgm_bench.evaluation.cells.suites import Planned, plan
from lgm_bench.evaluation.readiness import look
from lgm_bench.files import CACHE_VARIABLE, cache_folder
from lgm_bench.sparse import compiled
from lgm_bench.sparse.backends import BACKENDS, NATIVE, use_backend
from victims.checkpoints import checkpoint_status, default_checkpoint, user_store

OK, MISSING, BROKEN = "ok", "missing", "broken"
EMBEDDED_SUITE = "mini"
GIB = 2**30
LEAST_FREE = GIB // 2
"""Free bytes below which a disk counts as full; the embedded suite needs a tenth of that."""


@dataclass(frozen=True)
class Finding:
    """The state of one library, folder, data set or the like.

    Attributes:
        section: What it belongs to, such as "checkpoints".
        name: What it is.
        status: `OK`, `MISSING` (optional, unless `required`) or `BROKEN`.
        detail: What was found, or what to do.
        required: Whether the embedded suite needs it.
    """

    section: str
    name: str
    status: str
    detail: str
    required: bool = False


def machine() -> Iterator[Finding]:
    """Yield devices, libraries, backends and folders."""
    yield from _devices()
    yield from _libraries()
    yield from _backends()
    yield from _folders()


def can_run(findings: Sequence[Finding]) -> bool:
    """Return whether everything that the embedded suite needs is there."""
    return all(one.status == OK for one in findings if one.required)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return plain values."""
    return {"ready": can_run(findings), "findings": [asdict(one) for one in findings]}


def _devices() -> Iterator[Finding]:
    name, cores = "devices", os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    detail = f"{platform.machine()}, {usable} of {cores} cores, torch uses {torch.get_num_threads()}"
    yield Finding(name, "cpu", OK, detail)
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(name, f"cuda:{index}", OK, f"{properties.name}, {properties.total_memory / GIB:.0f} GiB")
    if not torch.cuda.device_count():
        built = f"built for CUDA {torch.version.cuda}, no GPU found" if torch.version.cuda else "built without CUDA"
        yield Finding(name, "cuda", MISSING, f"torch {built}; everything runs on the CPU too")


def _libraries() -> Iterator[Finding]:
    try:
        needed, installed = [Requirement(text) for text in requires("lgm-bench") or []], version("lgm-bench")
    except PackageNotFoundError:
        detail = "lgm-bench is not installed, so its requirements are unknown; pip install -e ."
        yield Finding("libraries", "requirements", BROKEN, detail)
        return
    stale = f"; version {installed} is installed, so the list below may be outdated: pip install -e ."
    about = f"{__version__}, Python {platform.python_version()}" + stale * (installed != __version__)
    yield Finding("libraries", "lgm-bench", OK, about)
    extras: dict[str, list[Requirement]] = {}
    for one in needed:
        extra = str(one.marker).rpartition("extra == ")[2].strip("\"' ") if "extra" in str(one.marker) else ""
        if not extra:
            fault = _fault(one)
            detail = f"{fault}; pip install '{one.name}{one.specifier}'" if fault else version(one.name)
            yield Finding("libraries", one.name, BROKEN if fault else OK, detail, required=True)
        elif extra != "dev":
            extras.setdefault(extra, []).append(one)
    for extra, members in extras.items():
        usable = [one for one in members if one.marker is None or one.marker.evaluate({"extra": extra})]
        faults = [f"{one.name} {fault}" for one in usable if (fault := _fault(one))]
        present = ", ".join(f"{one.name} {version(one.name)}" for one in usable if not _fault(one))
        detail = f"{'; '.join(faults)}; pip install 'lgm-bench[{extra}]'" if faults else present
        none = f"not for Python {platform.python_version()}" if not usable else ""
        yield Finding("extras", extra, MISSING if faults or none else OK, none or detail)


def _fault(requirement: Requirement) -> str:
    """Return what is wrong with an installed library, or nothing."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return "is not installed"
    fits = requirement.specifier.contains(installed, prereleases=True)
    return "" if fits else f"{installed} does not fit {requirement.specifier}"


def _backends() -> Iterator[Finding]:
    for name in BACKENDS:
        try:
            with use_backend(name):
                detail = "usable with --backend" if name != NATIVE else "always there"
            yield Finding("sparse convolution", name, OK, detail, required=name == NATIVE)
        except LgmBenchError as error:
            yield Finding("sparse convolution", name, MISSING, str(error))
        except Exception as error:  # a backend that is installed and broken, in whatever way
            detail = f"it is installed but does not work ({type(error).__name__}: {error}); leave out --backend {name}"
            yield Finding("sparse convolution", name, BROKEN, detail)
    reason = " ".join(compiled.why_not().split())
    detail = f"{reason}; plain PyTorch computes the same, more slowly" if reason else "compiled for this processor"
    yield Finding("sparse convolution", "C++ kernels", MISSING if reason else OK, detail)


def _folders() -> Iterator[Finding]:
    cache, own = cache_folder(""), user_store().folder
    remedy = f"{CACHE_VARIABLE}=DIR names another folder"
    yield _folder("cache", cache, remedy, required=True)
    yield _folder("own checkpoints", own, "LGM_BENCH_CHECKPOINTS=DIR names another folder", required=False)
    yield _folder("current folder", Path.cwd(), "run elsewhere, or with --out DIR", required=False)


def _folder(name: str, folder: Path, remedy: str, *, required: bool) -> Finding:
    """Return whether files can be written to a folder, or to the one it would be made in, and whether there is room."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
        free = shutil.disk_usage(there).free
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror or error}; {remedy}"
        return Finding("folders", name, BROKEN, detail, required)
    if free < LEAST_FREE:
        detail = f"{folder} has {free / GIB:.2f} GiB left; free some space, or {remedy}"
        return Finding("folders", name, BROKEN, detail, required)
    return Finding("folders", name, OK, f"{folder}, {free / GIB:.0f} GiB free", required)


def data_sets(data_root: str | None) -> Iterator[Finding]:
    """Yield every data set: where it is, or how to get it. Generated ones need only room in the cache."""
    _, wanted = _embedded()
    for item in inventory.data(data_root):
        name = item["name"]
        if name not in MARKS:
            yield Finding("data sets", name, OK, "generated when it is needed", required=name in wanted)
            continue
        probe = Cell(
            VictimSpec("resnet20-cifar10", "random"), DataSpec(name), AttackSpec("fgsm", 1.0), GradientSpec(NO_GRADIENT)
        )
        result = look([Planned(probe)], data_root)
        if not result.gaps:
            size = result.sizes[name, probe.data.subset]
            yield Finding("data sets", name, OK, f"{item['folder']}, {size:,} sample{'s' * (size != 1)}")
        else:
            status = BROKEN if item["ready"] else MISSING
            yield Finding("data sets", name, status, result.gaps[0].brief)


def checkpoints() -> Iterator[Finding]:
    """Yield every victim's checkpoint: ready, missing with the way to get it, or damaged."""
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
    """Return the victims and data sets that the embedded suite needs."""
    cells = [one.cell for one in plan(load_bench(), [EMBEDDED_SUITE]) if not one.optional]
    return frozenset(cell.victim.name for cell in cells), frozenset(cell.data.name for cell in cells)
