"""Loads victims with their weights, and imports published checkpoints."""

import hashlib
import inspect
import json
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from lgm_bench.errors import CheckpointError, ConfigError
from lgm_bench.files import expanded
from lgm_bench.registry import resolve
from victims.checkpoints import (
    CheckpointStore,
    default_checkpoint,
    sha256_of,
    shipped_store,
    user_store,
    verified_bytes,
)
from victims.image_victim import ImageVictim
from victims.names import VICTIMS
from victims.official import load_into, read_official
from victims.registry import CheckpointEntry, Normalization
from victims.victim import Victim

RANDOM = "random"
_SUFFIX = ".safetensors"


def load_victim(
    name: str,
    checkpoint: str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
    kwargs: Mapping[str, Any] | None = None,
) -> Victim:
    """Return a victim in evaluation mode, in torch's default dtype, on the CPU.

    Args:
        name: Registered name (`victims.victim_names()`), or `package.module:Class` of your own network, which is called
            with `kwargs`. Unless it returns a `Victim`, it receives images in [0, 1], normalized by `mean` and `std` if
            these are given.
        checkpoint: A path (.safetensors, or a published .pth, .pth.tar or .th), or "random" for untrained weights that
            depend only on `seed`. None: the registry's default, or, for your own network without one, the weights that
            it was constructed with.
        mean: Mean of each channel of the training images in [0, 1]; replaces the checkpoint's.
        std: Standard deviation of each channel; replaces the checkpoint's.
        seed: Seed of the untrained weights. The global random state is not changed.
        kwargs: Keyword arguments of your own network.

    Raises:
        UnknownNameError: There is no such victim.
        CheckpointError: The checkpoint is missing, damaged, not the registered one, or does not fit the network.
        ConfigError: A mean, std or argument is invalid.
    """
    victim = _untrained(name, seed, kwargs or {})
    normalization = None
    default = _default(name) if checkpoint is None else None
    if default is not None:
        store, entry = default
        path = store.folder / str(entry.file)
        normalization = _load_safetensors(victim.network, store.content(entry), name, path)
        normalization = entry.normalization or normalization
    elif checkpoint is not None and str(checkpoint) != RANDOM:
        path = expanded(checkpoint)
        if victim.parts and path.is_dir():
            raise CheckpointError(f"{path} is a folder; run `lgm-bench import {name} {path}` first")
        normalization = _load_file(victim, name, path)
    victim.checkpoint_id = checkpoint_id(name, checkpoint, seed)
    _normalize(victim, normalization, mean, std)
    return victim.eval()


def checkpoint_id(name: str, checkpoint: str | Path | None = None, seed: int = 0) -> str:
    """Return the identity of the weights that `load_victim` would load: the file's sha256, or "random-SEED".

    Raises:
        CheckpointError: There is no such checkpoint.
    """
    if checkpoint is None:
        default = _default(name)
        return f"constructed-{seed}" if default is None else str(default[1].sha256)
    if str(checkpoint) == RANDOM:
        return f"random-{seed}"
    return sha256_of(expanded(checkpoint))


def import_checkpoint(
    name: str,
    path: str | Path,
    out: str | Path | None = None,
    normalization: tuple[Sequence[float], Sequence[float]] | None = None,
    source: str | None = None,
    licence: str | None = None,
) -> Path:
    """Import a published checkpoint: read it strictly, store it as safetensors and register it as the victim's default.

    Args:
        name: Victim name.
        path: The published file (.pth, .pth.tar, .th), or a .safetensors file with the same keys. For a
            victim of several networks, such as a cascade: the folder with their published files.
        out: Folder of the store to write to; None: the user's own (see `victims.checkpoints`).
        normalization: (mean, std) that the weights were trained with; None: the victim's default.
        source: Who published it; None: as stated in the shipped registry for a file of this name. If the name
            contains the first digits of a sha256, the file must have it.
        licence: Licence of the weights; None: as for `source`.

    Returns:
        The path of the new file.

    Raises:
        UnknownNameError: There is no such victim.
        CheckpointError: The file does not fit the victim (one message lists all keys), or cannot be written.
    """
    path = expanded(path)
    victim = _untrained(name, 0, {})
    stored = _load_file(victim, name, path, keep_precision=True)
    mean, std = normalization or (None, None)
    _normalize(victim, stored, mean, std)
    known = _published(name, path)
    return save_checkpoint(
        name,
        victim,
        out=out,
        source=source or (known.source if known else f"imported from {path.name}"),
        licence=licence or (known.licence if known else None),
        official_file=path.name,
    )


def save_checkpoint(
    name: str,
    victim: Victim,
    *,
    source: str,
    out: str | Path | None = None,
    licence: str | None = None,
    official_file: str | None = None,
) -> Path:
    """Store a victim's weights as safetensors and register them; return the file's path.

    Args:
        name: Victim name.
        victim: The victim. Its network's state dict and, for images, its normalization are stored.
        source: How the weights were made.
        out: Folder of the store; None: the user's own.
        licence: Licence of the weights.
        official_file: Name of the published file that they were read from.

    Raises:
        CheckpointError: The store cannot be written.
    """
    metadata = {}  # at most one entry, since the order of several, and thus the sha256, would be arbitrary
    normalization = None
    if isinstance(victim, ImageVictim):
        normalization = Normalization(mean=_channels(victim.mean), std=_channels(victim.std))
        metadata["normalization"] = normalization.model_dump_json()
    # Copies, since SkipNet lists a skip path under two keys, and safetensors cannot store shared memory.
    state = {key: value.detach().cpu().contiguous().clone() for key, value in victim.network.state_dict().items()}
    content = safetensors.torch.save(state, metadata)
    sha256 = hashlib.sha256(content).hexdigest()
    entry = CheckpointEntry(
        victim=name,
        file=f"{name.replace(':', '.')}-{sha256[:8]}{_SUFFIX}",
        sha256=sha256,
        official_file=official_file,
        source=source,
        licence=licence,
        normalization=normalization,
    )
    store = CheckpointStore(expanded(out)) if out is not None else user_store()
    return store.add(entry, content)


def _default(name: str) -> tuple[CheckpointStore, CheckpointEntry] | None:
    """Return the default checkpoint and its store; None for a user's own network without one."""
    if name in VICTIMS or user_store().ready(name):
        return default_checkpoint(name)
    return None


def _untrained(name: str, seed: int, kwargs: Mapping[str, Any]) -> Victim:
    build = resolve("victim", name, VICTIMS)
    try:
        inspect.signature(build).bind(**kwargs)
    except TypeError as error:
        given = f"with {', '.join(kwargs)}" if kwargs else "without arguments"
        raise ConfigError(
            f"victim {name!r} cannot be called {given}: {error}; pass the arguments of your own class as `kwargs`"
        ) from error
    except ValueError:
        pass  # some built-in types have no signature
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        built = build(**kwargs)
    if isinstance(built, Victim):
        return built
    if not isinstance(built, nn.Module):
        raise ConfigError(f"victim {name!r} is a {type(built).__name__}; expected a callable that returns an nn.Module")
    return ImageVictim(built, mean=(0.0,), std=(1.0,))  # for any number of channels


def _load_file(victim: Victim, name: str, path: Path, keep_precision: bool = False) -> Normalization | None:
    """Load any checkpoint file; return the normalization stated in the file or in its registry."""
    network = victim.network
    if path.suffix == _SUFFIX:
        entries = CheckpointStore(path.parent).entries()
        entry = next((entry for entry in entries if entry.file == path.name), None)
        content = verified_bytes(path, entry.sha256 if entry else None)
        normalization = _load_safetensors(network, content, name, path)
        return entry.normalization or normalization if entry else normalization
    state = victim.official_state(_parts(victim, path) or read_official(path, network.state_dict()))
    if keep_precision and any(value.dtype == torch.float64 for value in state.values()):
        network.double()
    load_into(network, state, name=name, path=path)
    return None


def _parts(victim: Victim, folder: Path) -> dict[str, Tensor]:
    """Return the state dict of a victim of several published networks from the folder with their files; else nothing.

    Raises:
        CheckpointError: A file is missing, or there are several of one network.
    """
    state: dict[str, Tensor] = {}
    for prefix, pattern in victim.parts.items() if folder.is_dir() else ():
        files = sorted(folder.glob(pattern))
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "none"
            raise CheckpointError(f"{folder} must hold one file {pattern}, found {found}")
        state |= {prefix + key: value for key, value in read_official(files[0]).items()}
    return state


def _load_safetensors(network: nn.Module, content: bytes, name: str, path: Path) -> Normalization | None:
    """Load the content of a safetensors file; return the normalization in its header, if any."""
    try:
        state: dict[str, Tensor] = safetensors.torch.load(content)
        (length,) = struct.unpack("<Q", content[:8])
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        text = metadata.get("normalization")
        normalization = Normalization.model_validate_json(text) if text else None
    except (SafetensorError, struct.error, ValueError, ValidationError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file ({error}); import it again") from error
    load_into(network, state, name=name, path=path)
    return normalization


def _normalize(
    victim: Victim, stored: Normalization | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    """Set the normalization: the caller's, else the checkpoint's, else the victim's default."""
    default_mean, default_std = (stored.mean, stored.std) if stored else (None, None)
    for name, asked in (("mean", mean or default_mean), ("std", std or default_std)):
        if asked is None:
            continue
        if not isinstance(victim, ImageVictim):
            raise ConfigError(f"{name} applies only to image classifiers, not to a {type(victim).__name__}")
        buffer: Tensor = getattr(victim, name)
        values = torch.tensor([float(value) for value in asked], dtype=buffer.dtype)
        valid = bool(values.isfinite().all()) and (name == "mean" or bool((values > 0).all()))
        if (values.numel() > 1 and buffer.numel() not in (1, values.numel())) or not valid:
            raise ConfigError(
                f"{name} must be one number or {buffer.numel()}{' above 0' * (name == 'std')}, got {asked}"
            )
        victim.register_buffer(name, values.view(1, -1, 1, 1), persistent=False)


def _channels(buffer: Tensor) -> tuple[float, ...]:
    """Return the values of a (1, C, 1, 1) buffer as the short decimal numbers that round to the same float32."""
    return tuple(float(f"{value:.7g}") for value in buffer.flatten().tolist())


def _published(name: str, path: Path) -> CheckpointEntry | None:
    """Return the shipped entry of a published file of this name, unless the name contains another sha256."""
    stated = re.search(r"-([0-9a-f]{8})\.", path.name)  # resnet32-d509ac18.th
    if stated and not sha256_of(path).startswith(stated[1]):
        return None
    entries = shipped_store().entries()
    return next((e for e in entries if e.victim == name and Path(e.official_file or "").name == path.name), None)
