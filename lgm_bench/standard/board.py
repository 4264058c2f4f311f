"""The board: one JSON file per network and threat model, with the result of its standard evaluation."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lgm_bench.errors import ConfigError, ResultError
from lgm_bench.files import expanded, write_whole
from lgm_bench.standard.flags import RANDOM
from lgm_bench.standard.result import CLEAN, STANDS, Evaluation, leads, threat_of
from lgm_bench.tasks.inputs import inputs_named
from lgm_bench.tasks.standard import StandardImages, StandardScenes, StandardShapes

KINDS = {task.sample: task for task in (StandardImages, StandardShapes, StandardScenes)}
"""Tasks of the board by their word for a sample."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BoardFigure(_Part):
    """A fraction with its interval over samples at 95 %; see `result.Figure`."""

    value: float = Field(ge=-1, le=1)
    interval: tuple[float, float] | None


class BoardFlag(_Part):
    """See `flags.Flag`."""

    name: str
    evidence: str


class Reported(_Part):
    """What a publication reports for a threat model.

    Attributes:
        accuracy: The accuracy left, of scenes the mIoU, as a fraction.
        place: Where it stands.
    """

    accuracy: float = Field(ge=0, le=1)
    place: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text such as "43.2 %, Table 3 of Hu et al. 2020" says.

        Raises:
            ConfigError: The text does not begin with a percentage and a place.
        """
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?%, (.+)", text)
        if found is None or float(found[1]) > 100:
            raise ConfigError(
                "what was reported must be a percentage and its place, such as '43.2 %, Table 3 of Hu et al. 2020'; "
                f"got {text!r}"
            )
        return cls(accuracy=round(float(found[1]) / 100, 6), place=found[2])


class Entry(_Part):
    """The result of a network under a threat model; attributes as in `result.Evaluation` and `result.Setting`.

    Attributes:
        data: Name of the data set, and its part unless that is the test set.
        sample: Kind of the samples. Images and shapes fall or withstand; the figures of scenes are mIoUs.
        limited: Whether only the first samples of the data set were attacked.
        source: Who published the weights, and where.
        reported: What the publication reports for this threat model; None if nothing is known.
        checkpoint_sha256: Hash of the file of weights in a registry; None if they are in none.
    """

    network: str
    data: str
    sample: Literal["image", "shape", "scene"]
    norm: Literal["linf", "l2"]
    eps: float = Field(gt=0)
    budget: Literal["standard", "standard-fast"]
    version: str
    n_samples: int = Field(ge=1)
    limited: bool
    source: str | None
    reported: Reported | None
    checkpoint_sha256: str | None
    accuracies: dict[str, BoardFigure]
    gain: BoardFigure
    static: bool
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

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        """Raise ValueError if the numbers cannot be those of the same samples."""
        names = [name for name, _ in self.task.shown]
        if set(names) != set(self.accuracies):
            raise ValueError(f"figures of {self.sample}s are {', '.join(names)}; got {', '.join(self.accuracies)}")
        values = {name: figure.value for name, figure in self.accuracies.items()}
        if min(values.values()) < 0:
            raise ValueError(f"figures are fractions in [0, 1], got {min(values.values()):g}")
        control, members = (values[name] for name in self.task.compared_with_control)
        stated = {
            "n_samples": (self.n_samples, sum(self.felled_by.values())),
            "gain": (self.gain.value, control - members),
        }
        if self.task.main == "accuracy":
            shares = {name: count / self.n_samples for name, count in self.felled_by.items()}
            stated["clean_accuracy"] = values["clean_accuracy"], 1 - shares.get(CLEAN, 0)
            stated["accuracy"] = values["accuracy"], shares.get(STANDS, 0)
        for name, (number, counted) in stated.items():
            if round(number - counted, 6):
                raise ValueError(f"{name} is {number:g}, and other numbers say {counted:g}")
        falling = ("clean_accuracy", "fgm_accuracy", "control_accuracy")
        if self.task.main == "accuracy" and sorted(falling, key=values.__getitem__, reverse=True) != list(falling):
            raise ValueError(f"of {', '.join(falling)}, each must be at most the one before")
        return self

    @property
    def task(self) -> type[StandardImages | StandardShapes | StandardScenes]:
        """Declares the figures."""
        return KINDS[self.sample]

    @property
    def left(self) -> dict[str, BoardFigure]:
        """The accuracy, of scenes the mIoU: "clean", under "fgm" and the "control", and in the "worst" case."""
        main = self.task.main
        before = {name: self.accuracies[f"{name}_{main}"] for name in ("clean", "fgm", "control")}
        return {**before, "worst": self.accuracies[main]}

    @property
    def threat(self) -> str:
        """Norm and eps, such as "L-infinity 8/255"."""
        return threat_of(self.task, self.norm, self.eps)

    @property
    def samples(self) -> str:
        """Number and kind of the samples, such as "500 images"."""
        return f"{self.n_samples:,} {self.sample}{'s' * (self.n_samples > 1)}"

    @property
    def reliability(self) -> list[str]:
        """What limits the trust in the numbers."""
        said = {
            f"only {self.samples}": self.limited,
            "no better than the control": self.gain.value <= 0 and not self.static,
            "the lead over the control may be chance": self.gain.value > 0 and not leads(self.gain, self.n_samples),
            **{flag.name: True for flag in self.flags},
        }
        return [text for text, applies in said.items() if applies]


def enter(
    evaluation: Evaluation,
    folder: Path | str,
    *,
    data: str,
    limited: bool,
    source: str | None,
    reported: Reported | None = None,
    checkpoint_sha256: str | None = None,
) -> Path:
    """Write the result of an evaluation to the board, and return its file.

    Args:
        evaluation: The result.
        folder: The board.
        data: Name of the data set.
        limited: Whether only the first samples of the data set were attacked.
        source: Who published the weights.
        reported: What the publication reports; None: as in the file that is there.
        checkpoint_sha256: Hash of the file of weights; None if they are in no registry.

    Raises:
        ConfigError: The network draws lots.
        ResultError: The board has a more complete entry, one of other data, or a file that is none; the entry cannot be
            written.
    """
    if any(flag.name == RANDOM for flag in evaluation.flags):
        raise ConfigError(
            f"{evaluation.setting.network} has no place on the board, since it draws lots and every pass gives other "
            "verdicts; make it deterministic, for example with fixed random numbers for each sample"
        )
    given = {"data": data, "limited": limited, "source": source, "checkpoint_sha256": checkpoint_sha256}
    found = Entry.model_validate({**evaluation.as_json(), **given, "reported": reported})
    path = expanded(folder) / file_name(found)
    if path.exists():
        before = read_entry(path)
        _check_same(path, before, found)
        _check_rank(path, before, found)
        found = found.model_copy(update={"reported": reported or before.reported})
    text = found.model_dump_json(indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise ResultError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def read_board(folder: Path | str) -> list[Entry]:
    """Return the entries of a board: by data set, norm and eps, and then by name.

    Raises:
        ResultError: There is no such folder, it has no entry, or one of its JSON files is none.
    """
    paths = sorted(expanded(folder).glob("*.json"))
    if not paths:
        raise ResultError(f"{folder} has no entries; lgm-bench evaluate VICTIM --board {folder} writes one")
    return sorted(map(read_entry, paths), key=lambda entry: (entry.data, entry.norm, entry.eps, entry.network))


def read_entry(path: Path) -> Entry:
    """Return an entry of the board.

    Raises:
        ResultError: The file cannot be read, is no entry, or has the name of another.
    """
    try:
        entry = Entry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ResultError(f"{path} is no entry of the board ({error}); correct or delete it") from error
    if path.name != file_name(entry):
        raise ResultError(f"{path} holds what belongs into {file_name(entry)}; rename it")
    return entry


def file_name(entry: Entry) -> str:
    """Return the name of an entry's file, such as "skipnet20-cifar10-linf-8_255.json"."""
    plain = f"{entry.network}-{entry.norm}-{inputs_named(entry.task.inputs).text(entry.eps)}"
    return "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in plain) + ".json"


def _check_same(path: Path, before: Entry, found: Entry) -> None:
    """Raise ResultError if the entry that is there is of another network or of other data."""
    old, new = (f"{entry.network} on {entry.data}" for entry in (before, found))
    if old != new:
        raise ResultError(f"{path} has the result of {old}, and this run was of {new}; choose another board")


def _check_rank(path: Path, before: Entry, found: Entry) -> None:
    """Raise ResultError if the entry that is there is of all samples and the new one is not, or of a larger budget."""
    for what, old, new in (
        (f"all {before.sample}s", not before.limited, not found.limited),
        ("the budget standard", before.budget == "standard", found.budget == "standard"),
    ):
        if old and not new:
            raise ResultError(f"{path} was measured with {what}, and this run was not; delete the file to replace it")
    if before.limited and found.limited and before.n_samples > found.n_samples:
        raise ResultError(
            f"{path} was measured on {before.samples}, and this run on {found.n_samples}; delete the file to replace it"
        )
