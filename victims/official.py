"""Strict reading of published checkpoint files, and strict loading of a state dict into its network."""

import difflib
import logging
import pickle
import re
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lgm_bench.errors import CheckpointError

SHOWN = 8
"""Largest number of keys of each kind that an error message lists."""

_COUNTER = "num_batches_tracked"
log = logging.getLogger(__name__)

PREFIXES = ("module.", "network.", "model.", "_orig_mod.")
"""Prefixes of all keys in files of `DataParallel`, Lightning modules and compiled networks."""

ENTRIES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
"""Entries of published files that may contain the state dict."""

AVERAGED = "state_dict_ema"
"""Entry with a moving average of the weights, which timm's training script adds."""

_EXPECTED = f"expected {{key: tensor}}, at the top or under {', '.join(ENTRIES)}"


def read_official(path: Path, own: Iterable[str] = ()) -> dict[str, Tensor]:
    """Return the state dict in a .pth, .pth.tar, .th or .ckpt file, on the CPU, without the prefixes of wrappers.

    The state dict may be at the top or in one of `ENTRIES`. Only tensors, plain containers and NumPy numbers are
    unpickled; MinkUNet's published files contain such a number, the best score.

    Args:
        path: The file.
        own: Keys of the network. Prefixes are kept if the file has any of these keys unchanged.

    Raises:
        CheckpointError: The file is missing or truncated, contains code, or contains no state dict.
    """
    content = _unpickled(path)
    state = _state_dict(content, path)
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f"{path} holds no state dict but a {type(state).__name__}; {_EXPECTED}")
    unnamed = [repr(key) for key in state if not isinstance(key, str)]
    if unnamed:
        raise CheckpointError(f"{path} holds keys that are no names: {_listed(unnamed)}; {_EXPECTED}")
    strangers = [key for key, value in state.items() if not isinstance(value, Tensor)]
    strangers += [key for key, value in state.items() if key not in strangers and not _is_plain(value)]
    if strangers:
        raise CheckpointError(f"{path} holds entries that are no plain tensors: {_listed(strangers)}; {_EXPECTED}")
    state = dict(state)
    while set(own).isdisjoint(state):
        prefix = next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _state_dict(content: Any, path: Path) -> Any:
    """Return the innermost entry that contains a state dict."""
    while isinstance(content, Mapping):
        nested = [name for name in ENTRIES if isinstance(content.get(name), Mapping)]
        averaged = isinstance(content.get(AVERAGED), Mapping)
        if not nested:
            return content[AVERAGED] if averaged else content
        if averaged:
            log.warning(
                "%s also contains averaged weights, %s, which are not used; to use them, save this entry alone with "
                "torch.save",
                *(path, AVERAGED),
            )
        content = content[nested[0]]
    return content


def _is_plain(value: Tensor) -> bool:
    """Return whether a tensor has its values, one after another: it is neither sparse nor without memory."""
    return value.layout == torch.strided and not value.is_meta


CUT_SHORT = (EOFError, RuntimeError, ValueError, LookupError, AttributeError, TypeError, AssertionError, struct.error)
"""Exceptions that the unpickler may raise at the end of a truncated file."""


_SCALAR = np.float64(0).__reduce__()[0]
_NUMBERS = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("?", "i4", "i8", "f4", "f8")),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # NumPy 1 and 2
]


def _unpickled(path: Path) -> Any:
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint {path} {kind}; expected a .safetensors, .pth, .pth.tar or .th file")
    _require_plain_sizes(path)
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged or holds more than tensors ({_refused(error)}). Code inside a checkpoint is never run. "
            "If you trust the file, load it yourself, save its state dict alone with "
            'torch.save({"state_dict": ...}, ...) and import that'
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except CUT_SHORT as error:
        raise CheckpointError(
            f"{path} is truncated or not a PyTorch checkpoint ({_first_line(error)}); get it again and compare its size"
        ) from error


def _require_plain_sizes(path: Path) -> None:
    """Raise CheckpointError for an archive that unpacks to more than it holds: PyTorch writes them uncompressed."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        held = path.stat().st_size
    except (OSError, zipfile.BadZipFile):
        return  # reading it says what is wrong
    if unpacked > held:
        raise CheckpointError(
            f"{path} has {held:,} bytes and asks for {unpacked:,}, which no file of PyTorch does; get it again from "
            "where it was published"
        )


def load_into(network: nn.Module, state: Mapping[str, Tensor], *, name: str, path: Path) -> None:
    """Copy `state` into `network`, all keys or nothing.

    Files older than torch 0.4.1 have no batch counters (num_batches_tracked), which evaluation does not use. If all of
    them are absent, they are set to 0. SkipNet lists a skip path twice, as `group_ds` and as `downsample` of the block.
    These are the same module; if the tensors differ, `downsample` is used, as in the published network.

    Args:
        network: The network.
        state: Official key to tensor.
        name: The victim's name, for the error message.
        path: The file, for the error message.

    Raises:
        CheckpointError: Missing, unexpected, misshapen, non-floating or non-finite tensors; all in one message.
    """
    own = network.state_dict()
    filled = dict(state)
    counters = [key for key in own if key.endswith(_COUNTER)]
    if not any(key.endswith(_COUNTER) for key in state):
        filled.update({key: torch.zeros_like(own[key]) for key in counters})
    problems = _problems(own, filled)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise CheckpointError(
            f"{path} does not fit {name} ({len(own)} keys in the network, {len(state)} in the file):\n{lines}\n"
            f"  Expected the official layout of {name}. Is it the file of another network?"
        )
    network.load_state_dict(filled)


def _problems(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    shared = [key for key in own if key in state]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in shared
        if state[key].shape != own[key].shape
    ]
    not_floating = [
        f"{key} ({str(state[key].dtype).removeprefix('torch.')})"
        for key in shared
        if own[key].is_floating_point() and not state[key].is_floating_point()
    ]
    not_finite = [
        key
        for key in shared
        if state[key].shape == own[key].shape
        and state[key].is_floating_point()
        and not bool(state[key].isfinite().all())
    ]
    problems = {
        "missing": [_with_nearest(key, unexpected) for key in missing[:SHOWN]] + missing[SHOWN:],
        "unexpected": unexpected,
        "wrong shape": misshapen,
        "not floating point": not_floating,
        "NaN or infinite": not_finite,
    }
    return [f"{kind} ({len(keys)}): {_listed(keys)}" for kind, keys in problems.items() if keys]


def _with_nearest(key: str, others: list[str]) -> str:
    near = difflib.get_close_matches(key, others[:500], n=1, cutoff=0.75)
    return f"{key} (the file has {near[0]})" if near else key


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    rest = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + rest


def _refused(error: pickle.UnpicklingError) -> str:
    """Return what the unpickler refused; its own message is very long and recommends loading the file unsafely."""
    name = re.search(r"GLOBAL ([\w.]+)", str(error), re.IGNORECASE)
    return f"it calls {name[1]}" if name else "it cannot be unpickled"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
