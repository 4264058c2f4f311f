"""The board: one JSON file per network and threat model, with the result of its standard evaluation."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lgm_bench.errors import ResultError
from lgm_bench.files import expanded, write_whole
from lgm_bench.standard.result import Evaluation
from lgm_bench.tasks.inputs import IMAGES


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BoardFigure(_Part):
    """A fraction with its interval over images at 95 %; see `result.Figure`."""

    value: float = Field(ge=-1, le=1)
    interval: tuple[float, float] | None


class BoardFlag(_Part):
    """See `flags.Flag`."""

    name: str
    evidence: str


class Entry(_Part):
    """The result of a network under a threat model; attributes as in `result.Evaluation` and `result.Setting`.

    Attributes:
        limited: Whether only the first images of the data set were attacked.
        source: Who published the weights, and where.
        reported: What the publication reports for this threat model, with its place; None if nothing is known.
    """

    network: str
    norm: Literal["linf", "l2"]
    eps: float = Field(gt=0)
    budget: Literal["standard", "standard-fast"]
    version: str
    n_samples: int = Field(ge=1)
    limited: bool
    source: str | None
    reported: str | None = None
    accuracies: dict[str, BoardFigure]
    gain: BoardFigure
    compute: tuple[float, float] | None
    gradients: int
    felled_by: dict[str, int]
    flags: tuple[BoardFlag, ...]
    weights_sha256: str
    data_sha256: str
    versions: dict[str, str]
    devices: tuple[str, ...]
    commit: str | None
    seconds: float


def enter(
    evaluation: Evaluation, folder: Path | str, *, limited: bool, source: str | None, reported: str | None = None
) -> Path:
    """Write the result of an evaluation to the board, and return its file.

    Args:
        evaluation: The result.
        folder: The board.
        limited: Whether only the first images of the data set were attacked.
        source: Who published the weights.
        reported: What the publication reports; None: as in the file that is there.

    Raises:
        ResultError: The board has a more complete entry, or a file that is none; the entry cannot be written.
    """
    found: dict[str, Any] = {**evaluation.as_json(), "limited": limited, "source": source, "reported": reported}
    path = expanded(folder) / file_name(evaluation)
    before = read_entry(path) if path.exists() else None
    if before is not None:
        _check_rank(path, before, found)
        found["reported"] = reported or before.reported
    text = Entry.model_validate(found).model_dump_json(indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def read_entry(path: Path) -> Entry:
    """Return an entry of the board.

    Raises:
        ResultError: The file cannot be read, or is no entry.
    """
    try:
        return Entry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultError(f"{path} is no entry of the board ({error}); correct or delete it") from error


def file_name(evaluation: Evaluation) -> str:
    """Return the name of an evaluation's file, such as "skipnet20-cifar10-linf-8_255.json"."""
    setting = evaluation.setting
    plain = f"{setting.network}-{setting.norm}-{IMAGES.text(setting.eps)}"
    return "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in plain) + ".json"


def _check_rank(path: Path, before: Entry, found: dict[str, Any]) -> None:
    """Raise ResultError if the entry that is there is of all images and the new one is not, or of a larger budget."""
    for what, old, new in (
        ("all images", not before.limited, not found["limited"]),
        ("the budget standard", before.budget == "standard", found["budget"] == "standard"),
    ):
        if old and not new:
            raise ResultError(f"{path} was measured with {what}, and this run was not; delete the file to replace it")
    if before.limited and found["limited"] and before.n_samples > found["n_samples"]:
        raise ResultError(
            f"{path} was measured on {before.n_samples} images, and this run on {found['n_samples']}; delete the file "
            "to replace it"
        )
