"""The registry of checkpoints: the file of each victim with its sha256, source and licence."""

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lgm_bench.errors import CheckpointError

REGISTRY_FILE = "registry.yaml"

_HEADER = """\
# Checkpoints, one entry each. `file` is a safetensors file beside this registry, with its SHA-256. An entry without it
# says where to get the published file, and `lgm-bench import VICTIM FILE` makes that usable. `training` is the record
# of the training run, and `slopes` are those that `lgm-bench search` found for an attack.
"""


class Normalization(BaseModel):
    """Mean and standard deviation of each channel of the training images, in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[float, ...] = Field(min_length=1)
    std: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sane(self) -> "Normalization":
        if len(self.mean) != len(self.std):
            raise ValueError("mean and std must have one value for each channel")
        if not all(0 < value < float("inf") for value in self.std):
            raise ValueError("std must be positive")
        return self


Slope = Annotated[float, Field(gt=0, allow_inf_nan=False)] | Annotated[str, Field(pattern=r"^auto$")]


class StoredSlopes(BaseModel):
    """The slopes at which an attack on some weights was strongest, and how they were found.

    Attributes:
        attack: Name of the attack.
        gradient: Gradient method of the attack.
        protocol: "standard" or "official".
        targeted: Whether the attack had targets.
        valid_pixels: Share of the pixels that the attack may change.
        steps: Iterations, as counted by the protocol.
        samples: The attacked samples, such as "200 holdout images of digits".
        found: Day of the search.
        slopes: Slope for each true half-width eps, such as "8/255", or in metres.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attack: str
    gradient: str
    protocol: str
    targeted: bool = False
    valid_pixels: float = 1.0
    steps: int
    samples: str
    found: date
    slopes: dict[str, Slope] = Field(min_length=1)

    @property
    def search(self) -> tuple[object, ...]:
        """The settings that identify a search on given weights."""
        return self.attack, self.gradient, self.protocol, self.targeted, self.valid_pixels, self.steps


class CheckpointEntry(BaseModel):
    """One checkpoint.

    Attributes:
        victim: Victim name.
        file: Name of the safetensors file beside the registry; None if it has to be imported first.
        sha256: The sha256 of that file.
        official_file: Name of the published file.
        source: Who published it and where, or how it was made.
        licence: Licence of the weights, as stated by their publisher.
        normalization: Normalization that the weights were trained with; None: the victim's default.
        training: Name of the training record beside the registry, if the weights were trained with this package.
        slopes: The results of searches for slopes with these weights, written by `lgm-bench search --store`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    victim: str
    file: str | None = Field(default=None, pattern=r"^[^/\\]+\.safetensors$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    official_file: str | None = None
    source: str
    licence: str | None = None
    normalization: Normalization | None = None
    training: str | None = None
    slopes: tuple[StoredSlopes, ...] = ()

    @model_validator(mode="after")
    def _file_with_hash(self) -> "CheckpointEntry":
        if (self.file is None) != (self.sha256 is None):
            raise ValueError("file and sha256 must be given together")
        if self.file is None and self.official_file is None:
            raise ValueError("an entry needs file (and sha256) or official_file")
        return self


class _Registry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    checkpoints: list[CheckpointEntry] = []


def read_registry(path: Path) -> list[CheckpointEntry]:
    """Return the entries of a registry file, or no entries if the file does not exist.

    Raises:
        CheckpointError: The file is unreadable, not YAML, or has an invalid or unknown field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"cannot read the checkpoint registry {path}: {error}") from error
    try:
        return list(_parsed(text))
    except yaml.YAMLError as error:
        raise CheckpointError(f"checkpoint registry {path} is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise CheckpointError(
            f"checkpoint registry {path}: {where}: {first['msg']}, got {first['input']!r}; correct or remove this entry"
        ) from error


@lru_cache(maxsize=4)
def _parsed(text: str) -> tuple[CheckpointEntry, ...]:
    """Cached, since the registry is read again for every victim."""
    return tuple(_Registry.model_validate(yaml.safe_load(text) or {}).checkpoints)


def registry_text(entries: list[CheckpointEntry]) -> str:
    """Return the text of a registry file with these entries."""
    plain = [entry.model_dump(mode="json", exclude_defaults=True) for entry in entries]
    return _HEADER + yaml.safe_dump({"checkpoints": plain}, sort_keys=False, width=110, allow_unicode=True)


def with_slopes(entry: CheckpointEntry, found: StoredSlopes) -> CheckpointEntry:
    """Return an entry with the slopes of another search; they replace those of the same search and half-width."""
    kept = []
    for old in entry.slopes:
        widths = old.slopes
        if old.search == found.search:
            widths = {width: slope for width, slope in widths.items() if width not in found.slopes}
        if widths:
            kept.append(old.model_copy(update={"slopes": widths}))
    return entry.model_copy(update={"slopes": (*kept, found)})
