"""Reading benchmark files: from YAML to checked objects, with errors that name the file and the place in it."""

import re
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lgm_bench.errors import ConfigError, did_you_mean
from lgm_bench.evaluation.cells import schema
from lgm_bench.files import expanded, is_named_pipe
from lgm_bench.resources import resource

MOST_VALUES, DEEPEST, MOST_MISFITS, LONGEST = 50_000, 50, 20, 200
"""Limits: values in a file with aliases expanded, levels of nesting, problems per error, letters per value in it."""
Model = TypeVar("Model", bound=BaseModel)
Place = tuple[int | str, ...]


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys and reads 1e-4 as a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for place, _ in node.value:
            key = self.construct_object(place, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is a list or mapping", place.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", place.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file as plain values.

    Raises:
        ConfigError: The file is missing, unreadable or not YAML; the message names the line.
    """
    if is_named_pipe(path):
        raise ConfigError(f"{path} is a named pipe; give a file")
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise ConfigError(f"no file {path}; `lgm-bench run --help` shows how to start one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def load_bench(path: Path | None = None, overrides: Sequence[str] = ()) -> schema.BenchFile:
    """Return a checked benchmark file; without a path, the bench.yaml that ships with lgm-bench.

    `overrides` such as "suites.cifar10.grids.0.eps=[1, 2]" are applied before the check; their values are YAML.

    Raises:
        ConfigError: The file or an override has an unknown key, a wrong type or a value out of range.
    """
    path = resource("bench.yaml") if path is None else path
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected the keys {', '.join(schema.BenchFile.model_fields)}, got {content!r:.40}")
    for override in overrides:
        _override(content, override)
    _locate_checkpoints(content, path.absolute().parent)
    return check(schema.BenchFile, content, str(path))


def check(model: type[Model], content: Any, source: str, place: Callable[[Place], str] | None = None) -> Model:
    """Return plain values as a checked `model`.

    Raises:
        ConfigError: They do not fit. Each line names the source, such as a path, and the place, worded by `place`.
    """
    _require_plain(content, source)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        misfits = error.errors()
        lines = [f"{source}: {_explain(misfit, place or _place, model)}" for misfit in misfits[:MOST_MISFITS]]
        lines += [f"{source}: and {len(misfits) - MOST_MISFITS} more"] if len(misfits) > MOST_MISFITS else []
        raise ConfigError("\n".join(lines)) from None


def _explain(error: ErrorDetails, show: Callable[[Place], str], model: type[BaseModel]) -> str:
    location, value = error["loc"], error["input"]
    if error["type"] == "extra_forbidden":
        return f"{show(location)}: unknown key{did_you_mean(str(location[-1]), _keys_at(model, location[:-1]))}"
    if error["type"] == "missing":
        return f"{show(location)}: missing"
    if error["type"] == "string_too_short":
        return f"{show(location)}: must not be empty"
    message = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{show(location)}: expected {message}, got {value!r:.{LONGEST}}"


def _keys_at(model: type[BaseModel], location: Place) -> list[str]:
    """Return the keys that are allowed at a place inside a model."""
    for part in location:
        field = model.model_fields.get(str(part))
        model = (field and _model_in(field.annotation)) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in a type such as dict[str, Model] or Annotated[list[Model], ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _place(location: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the file"


def _parse(text: str, source: str) -> Any:
    try:
        content = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}{where}: {error.problem or 'not valid YAML'}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: is nested more than {DEEPEST} levels deep") from error
    except Exception as error:  # from PyYAML's conversions, such as a date with month 13
        raise ConfigError(f"{source}: not valid YAML: a value cannot be read: {error}") from error
    _require_plain(content, source)
    return content


def _require_plain(content: Any, source: str) -> None:
    """Check that plain values are not too many, not nested too deeply, and do not contain themselves.

    Raises:
        ConfigError: One of these fails, or a text has a NUL character.
    """
    sizes: dict[int, int] = {}

    def size(value: Any, depth: int) -> int:
        if isinstance(value, str) and "\0" in value:
            raise ConfigError(f"{source}: {value!r:.{LONGEST}} has a NUL character; remove it")
        if not isinstance(value, dict | list):
            return 1
        if depth > DEEPEST:
            raise ConfigError(f"{source}: is nested more than {DEEPEST} levels deep, or contains itself")
        if id(value) not in sizes:
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            sizes[id(value)] = 1 + sum(size(one, depth + 1) for one in inner)
        return sizes[id(value)]

    if (found := size(content, 0)) > MOST_VALUES:
        raise ConfigError(
            f"{source}: has {found:,} values with its aliases expanded; at most {MOST_VALUES:,} are allowed"
        )


def _locate_checkpoints(content: Any, folder: Path) -> None:
    """Resolve all relative checkpoint paths in plain values against `folder`."""
    if isinstance(content, dict):
        checkpoint = content.get("checkpoint")
        if isinstance(checkpoint, str) and checkpoint != "random":
            content["checkpoint"] = str(folder / expanded(checkpoint))
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _locate_checkpoints(inner, folder)


def _override(content: Any, text: str) -> None:
    """Set one value inside nested dicts and lists. Every key but the last has to exist."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text}: expected path=value, such as --set defaults.seed=1")
    *parents, last = path.split(".")
    for depth, key in enumerate(parents):
        content = _step_into(content, key, f"--set {text}: {'.'.join(parents[: depth + 1])}")
    parsed = _parse(value, f"--set {text}")
    if isinstance(content, list):
        _step_into(content, last, f"--set {text}: {path}")
        content[int(last)] = parsed
    elif isinstance(content, dict):
        content[last] = parsed
    else:
        raise ConfigError(f"--set {text}: {'.'.join(parents)} is {content!r}, which has no key {last!r}")


def _step_into(content: Any, key: str, where: str) -> Any:
    if isinstance(content, list):
        if not (key.isascii() and key.isdigit()) or int(key) >= len(content):
            raise ConfigError(f"{where}: expected an index from 0 to {len(content) - 1}, got {key!r}")
        return content[int(key)]
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {content!r} has no keys")
    if key not in content and key in schema.BenchFile.model_fields:
        content[key] = {}
    if key not in content:
        raise ConfigError(f"{where}: unknown key{did_you_mean(key, map(str, content))}")
    return content[key]
