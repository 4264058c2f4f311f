"""The source files of a module and their content."""

import ast
import hashlib
import importlib.util
import logging
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_log = logging.getLogger(__name__)

OURS = frozenset({"lgm_bench", "victims", "datamodules"})
"""Packages whose content the version of lgm-bench identifies."""

_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Source:
    """A module's file.

    Attributes:
        spec: The spec it was imported with; reloading a module makes a new one.
        path: The file.
        name: Its path below the folder that Python searches, such as "my_networks.py" or "nets/blocks.py".
        sha256: Of its content.
        imports: Full names of the modules that it imports anywhere.
    """

    spec: ModuleSpec
    path: Path
    name: str
    sha256: str
    imports: frozenset[str]


_imported: dict[str, Source] = {}
"""Sources of modules at the time this process imported them; that code runs even if the file is edited later."""


def source_files(module: str) -> dict[str, str]:
    """Return the sha256 of every file with a module's code: its own file and those of the local modules it imports.

    Local modules are those outside the standard library, site-packages and lgm-bench. Imports are followed wherever
    they stand in a file. Modules imported by a computed name are not found, nor is data that the code reads. For a
    module that is imported already, the imported code counts; a later change of its file is logged.

    Args:
        module: Full name of a module that can be imported.

    Returns:
        For each file's name (see `Source`) its sha256; empty for an installed module.
    """
    sources: dict[str, Source] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        source = _source(name)
        if source is not None:
            sources[name] = source
            waiting += [one for one in source.imports if one.partition(".")[0] not in OURS]
            waiting += [name.rpartition(".")[0]] if "." in name and name.partition(".")[0] not in OURS else []
    return {source.name: source.sha256 for _, source in sorted(sources.items())}


def is_there(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    return module in sys.modules or _spec(module) is not None


def _source(name: str) -> Source | None:
    """Return the source of a local module; None for other modules and for names of no module."""
    spec = _spec(name)
    origin = spec.origin if spec else None
    if spec is None or origin is None or not spec.has_location or _is_installed(Path(origin)):
        return None
    known = _imported.get(name)
    if known is not None and known.spec is not spec:  # it was loaded again
        known = None
    try:
        content = Path(origin).read_bytes()
    except OSError:
        return known
    sha256 = hashlib.sha256(content).hexdigest()
    if known is None:
        known = Source(spec, Path(origin), _file_name(name, spec), sha256, frozenset(_imports(name, spec, content)))
        if name in sys.modules:
            _imported[name] = known
    elif known.sha256 != sha256:
        _warn(origin, sha256)
    return known


@cache
def _warn(path: str, sha256: str) -> None:  # noqa: ARG001
    """Warn, once for each content of the file."""
    _log.warning("%s changed since this process imported it: the old code runs. Start a new process for the new", path)


def _spec(name: str) -> ModuleSpec | None:
    """Return where a module is, without importing anything."""
    if name in sys.modules:
        return sys.modules[name].__spec__ or _spec_of_script(name)
    parent = name.rpartition(".")[0]
    try:
        if not parent:
            return importlib.util.find_spec(name)
        above = _spec(parent)
        folders = above.submodule_search_locations if above else None
        return PathFinder.find_spec(name, folders) if folders else None
    except (ImportError, ValueError):
        return None


@cache
def _spec_of_script(name: str) -> ModuleSpec | None:
    path = getattr(sys.modules[name], "__file__", None)  # of `python my_script.py`; a notebook has none
    return importlib.util.spec_from_file_location(name, path) if path else None


def _is_installed(path: Path) -> bool:
    if any(part in _INSTALLED for part in path.parts):
        return True
    standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")} | {site.getusersitepackages()}
    return any(path.is_relative_to(folder) for folder in standard)


def _file_name(name: str, spec: ModuleSpec) -> str:
    path = Path(str(spec.origin))
    above = name.split(".") if spec.submodule_search_locations else name.split(".")[:-1]
    return "/".join([*above, path.name])


def _imports(name: str, spec: ModuleSpec, content: bytes) -> Iterator[str]:
    """Yield the modules that a file imports, and names imported from modules, which may be modules too."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # an extension module, which is not text
        return
    package = name if spec.submodule_search_locations else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            base = ".".join(part for part in (above if node.level else "", node.module or "") if part)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
            else:
                yield from (alias.name for alias in node.names)
