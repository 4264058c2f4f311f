"""The result of the standard evaluation: rows, figures, a summary and a report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from lgm_bench.attacks.standard import is_static
from lgm_bench.evaluation.store.files import About
from lgm_bench.evaluation.store.tally import Tally
from lgm_bench.files import expanded, write_whole
from lgm_bench.results.statistics import FEWEST, bootstrap
from lgm_bench.standard.flags import Flag
from lgm_bench.tasks.base import Task, task_of
from lgm_bench.tasks.inputs import inputs_named
from lgm_bench.tasks.metric import Metric
from lgm_bench.tasks.standard import StandardImages, StandardScenes, StandardShapes

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]
STANDS, CLEAN = "withstand", "clean"
"""What stands for a member where none fells an image, and where the network is wrong without an attack."""
BALLS = {"linf": "L-infinity", "l2": "L2"}
"""Names of the norms."""


class Setting(NamedTuple):
    """What was evaluated: everything that determines the rows.

    Attributes:
        network: Name of the network.
        eps: Largest change, in the norm.
        norm: "linf" or "l2".
        budget: "standard" or "standard-fast".
        version: Version of the standard evaluation.
        n_samples: Number of samples.
        weights_sha256: Hash of the network's parameters and buffers.
        data_sha256: Hash of the inputs, labels and ids, in order.
    """

    network: str
    eps: float
    norm: str
    budget: str
    version: str
    n_samples: int
    weights_sha256: str
    data_sha256: str


class Figure(NamedTuple):
    """A number with its bootstrap interval over samples at 95 %; None where all samples are alike or few."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """The result of the standard evaluation; `print` shows its summary.

    Attributes:
        setting: What was evaluated.
        rows: One row per sample, with the columns of `task`.
        flags: Signs that the numbers cannot be trusted.
        members: Names of the members in the order in which they ran.
        gradients: Number of gradients for a sample that withstands, of the members as of the control.
        about: Time and device.
        versions: Versions of the libraries.
    """

    setting: Setting
    rows: pa.Table
    flags: tuple[Flag, ...]
    members: tuple[str, ...]
    gradients: int
    about: About
    versions: Mapping[str, str]

    @property
    def task(self) -> type[StandardImages | StandardShapes | StandardScenes]:
        """Declares the rows."""
        return task_of(self.rows)  # type: ignore[return-value]

    @property
    def static(self) -> bool:
        """Whether the network has no gates; then its members are the control too."""
        return is_static(self.members)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row per sample, in the order of the data: verdicts, who felled it after how many gradients, compute."""
        table = self.rows
        empty = [name for name in table.column_names if table.column(name).null_count == len(table)]
        frame: pd.DataFrame = table.drop_columns([name for name in empty if name != "felled_by"]).to_pandas()
        return frame

    @cached_property
    def accuracies(self) -> dict[str, Figure]:
        """The accuracies of the summary by name, as fractions with their intervals; of scenes, the mIoUs."""
        return {name: _figure(self.rows, self.task.metric(name)) for name, _ in self.task.shown}

    @cached_property
    def gain(self) -> Figure:
        """How much accuracy the members that follow gradients leave less than the control, in [-1, 1]."""
        names = self.task.compared_with_control
        both = [self.task.metric(name).parts(self.rows) for name in names]
        value, width = self.task.metric(names[0]).value, both[0].shape[1]
        interval = bootstrap(
            np.concatenate(both, axis=1), lambda sums: value(sums[..., :width]) - value(sums[..., width:])
        )
        first, second = (self.accuracies[name].value for name in names)
        return Figure(first - second, interval)

    @cached_property
    def compute(self) -> tuple[float, float] | None:
        """Million multiply-adds per image before and after the attacks, over the images that are right without one.

        None if they are unknown, as for clouds.
        """
        figures = Tally.of(self.rows.filter(self.rows.column("perturbed"))).figures()
        before, after = figures.get("compute_clean"), figures.get("compute_attacked")
        return None if before is None or after is None else (before, after)

    @property
    def broken_by(self) -> dict[str, int]:
        """Number of samples by the member that felled them, most first; `STANDS` for those that none fells."""
        names = self.rows.column("felled_by").to_pylist()
        return dict(Counter(STANDS if name is None else name for name in names).most_common())

    @property
    def remarks(self) -> list[str]:
        """Sentences on what the numbers mean: the comparison with the control, and the flags."""
        flags = [f"{flag.name}: {flag.evidence}" for flag in self.flags]
        if self.static:
            return ["The network has no gates, so all of its members follow FGM, and they are the control.", *flags]
        gain, interval = self.gain
        points = f"{100 * gain:+.1f} points" + (f" ({_range(interval)})" if interval else "")
        if gain <= 0:
            first = f"The worst case of the gradients is no better than FGM with as many gradients: {points}."
        elif not leads(self.gain, self.setting.n_samples):
            first = f"It is not certain that the worst case is better than FGM with as many gradients: {points}."
        else:
            first = f"The members together leave less than FGM with as many gradients: {points}."
        return [first, *flags]

    @property
    def title(self) -> str:
        """Network, threat model, budget and number of samples."""
        setting = self.setting
        budget = setting.version + ", fast" * (setting.budget != "standard")
        samples = f"{setting.n_samples} {self.task.sample}{'s' * (setting.n_samples > 1)}"
        return f"{setting.network}, {threat_of(self.task, setting.norm, setting.eps)}, {budget}, {samples}"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Names and texts of the figures."""
        found = [(label, _percent(self.accuracies[name])) for name, label in self.task.shown]
        if self.compute:
            found.append(("compute", "{:.2f} -> {:.2f} million multiply-adds per image".format(*self.compute)))
        per = self.task.sample + " that withstands" * (not self.task.labels_points)
        control = ", and as many for the control" * (not self.static)
        found.append(("gradients", f"{self.gradients:,} per {per}{control}"))
        found.append(
            (
                "lowest under" if self.task.labels_points else "felled by",
                ", ".join(f"{name} {count}" for name, count in self.broken_by.items()),
            )
        )
        return found

    def summary(self) -> str:
        """Return the figures and remarks as text."""
        width = max(len(name) for name, _ in self.lines)
        figures = [f"  {name:<{width}}  {text}" for name, text in self.lines]
        return "\n".join([self.title, *figures, *(f"  {remark}" for remark in self.remarks)])

    __str__ = summary

    def as_json(self) -> dict[str, Any]:
        """Return setting, kind of samples, figures as fractions, and remarks as plain values."""
        return {
            **self.setting._asdict(),
            "sample": self.task.sample,
            "accuracies": {name: figure._asdict() for name, figure in self.accuracies.items()},
            "gain": self.gain._asdict(),
            "static": self.static,
            "compute": self.compute,
            "gradients": self.gradients,
            "felled_by": self.broken_by,
            "flags": [flag._asdict() for flag in self.flags],
            "versions": dict(self.versions),
            "devices": list(self.about.devices),
            "commit": self.about.commit,
            "seconds": round(self.about.seconds, 1),
        }

    def report(self, path: Path | str) -> Path:
        """Write a page (HTML) with figures, remarks and the members' shares, and return its path.

        Raises:
            OSError: The file cannot be written.
        """
        from jinja2 import Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=PackageLoader("lgm_bench.standard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        page = environment.get_template("standard.html.j2").render(evaluation=self, n=self.setting.n_samples)
        file = expanded(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, page.encode())
        return file


def leads(gain: Any, n_samples: int) -> bool:
    """Return whether a gain over the control is more than chance; `gain` has the attributes of `Figure`.

    Its interval has to lie above 0. Without an interval, all samples have to be alike, and not too few.
    """
    low = gain.interval[0] if gain.interval else gain.value
    return bool(low > 0 and n_samples >= FEWEST)


def threat_of(task: type[Task], norm: str, eps: float) -> str:
    """Return the norm and eps with its unit, such as "L-infinity 8/255" or "L-infinity 0.02 m"."""
    return f"{BALLS[norm]} {inputs_named(task.inputs).text(eps)} {task.unit_of_eps}".strip()


def _figure(rows: pa.Table, metric: Metric) -> Figure:
    parts = metric.parts(rows)
    return Figure(float(metric.value(parts.sum(axis=0))), bootstrap(parts, metric.value))


def _percent(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} %" + (f" ({_range(figure.interval)})" if figure.interval else "")


def _range(interval: Interval) -> str:
    low, high = interval
    return f"{100 * low:.1f} to {100 * high:.1f}"
