"""Numbers on the pages that come from committed records: `python docs/records.py` writes them between their markers.

A page has `<!-- record: NAME -->`, what `TEXTS` makes of the records, and `<!-- end -->`. `make docs` fails if a text
is not that of the records.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.results.statistics import bootstrap
from lgm_bench.standard.board import KINDS, BoardFigure, Entry, read_board
from lgm_bench.standard.board_page import below_control
from lgm_bench.standard.result import leads

ROOT = Path(__file__).resolve().parents[1]
BOARD, MINI = ROOT / "leaderboard" / "standard", ROOT / "leaderboard" / "mini.json"
CONTROL, BIM = (ROOT / "docs" / "records" / name for name in ("control.json", "bim.json"))
BIM_NETWORKS = ("dynconv20_at", "skipnet20_at", "skipnet20_adaptive")
MARKED = re.compile(r"(<!-- record: ([^>]+?) -->)(.*?)(<!-- end -->)", re.DOTALL)


def percent(value: float, digits: int = 1) -> str:
    return f"{round(100 * value, 6):.{digits}f}"


def signed(value: float) -> str:
    """Return points with a sign, and 0.0 without one."""
    text = f"{round(100 * value, 6):+.1f}"
    return "0.0" if text[1:] == "0.0" else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table in Markdown whose first columns are aligned to the left."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    lines = ["| " + " | ".join(row) + " |" for row in (header, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]]).replace("|  |", "| |")


# The board


@cache
def entries() -> dict[str, Entry]:
    """Return the entries of the board that ships, by "NETWORK EPS" as in "skipnet20-cifar10 1/255"."""
    return {f"{entry.network} {entry.threat.split()[1]}": entry for entry in read_board(BOARD)}


def board_table(sample: str) -> str:
    """Return the table of the networks on one kind of samples."""
    header = ("network", "threat model", "clean", "FGM", "control", "worst case", "below the control", f"{sample}s")
    rows = []
    for entry in entries().values():
        if entry.sample == sample:
            before = (percent(entry.left[name].value) for name in ("clean", "fgm", "control"))
            after = (with_interval(entry.left["worst"]), below_control(entry))
            count = f"{'' if entry.limited else 'all '}{entry.n_samples:,}"
            rows.append((f"`{entry.network}`", f"{entry.data}, {entry.threat}", *before, *after, count))
    return "\n" + table(header, rows, left=2) + "\n"


def board_remarks() -> str:
    rows = [(f"`{e.network}`", e.threat, "; ".join(e.reliability) or "none") for e in entries().values()]
    return "\n" + table(("network", "threat model", "reasons to doubt the number"), rows, left=3) + "\n"


def adaptive() -> list[Entry]:
    """Return the entries of image classifiers with gates."""
    return [entry for entry in entries().values() if entry.sample == "image" and not entry.static]


def with_interval(figure: BoardFigure) -> str:
    """Return a fraction in percent with its interval, such as "15.0 (10.0 to 20.0)"."""
    ends = figure.interval
    return percent(figure.value) + (f" ({percent(ends[0])} to {percent(ends[1])})" if ends else "")


def of_entry(words: Sequence[str]) -> str:
    """Return a number of an entry; `words` are its network, its eps, and what is wanted."""
    network, eps, name = words
    entry = entries()[f"{network} {eps}"]
    texts = {
        "images": f"{entry.n_samples:,}",
        "gradients": f"{entry.gradients:,}",
        "control": with_interval(entry.left["control"]),
        "worst": with_interval(entry.left["worst"]),
        "below": below_control(entry),
    }
    return texts[name]


# The suite `control`


@cache
def control() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(CONTROL.read_text(encoding="utf-8"))
    return content


def control_table() -> str:
    """Return accuracies on images under each gradient; bold where it is significantly stronger than FGM."""
    results = {one["fingerprint"]: one for one in control()["results"]}
    pairs: dict[tuple[str, float], dict[str, Any]] = {}
    for pair in control()["comparisons"]:
        cell = results[pair["arm"]]["cell"]
        if pair["metric"] == "accuracy":
            pairs.setdefault((cell["victim"], cell["attack"]["eps"]), {})[cell["gradient"]["name"]] = pair
    rows = []
    for network in sorted({victim for victim, _ in pairs}, reverse=True):
        firsts = [network.partition("-")[0]]
        for (_, eps), arms in sorted(item for item in pairs.items() if item[0][0] == network):
            baseline = results[arms["lgm"]["baseline"]]["metrics"]
            firsts += [f"clean {percent(baseline['clean_accuracy'], 2)}", "", ""]
            cells = [_arm(arms[name]) for name in ("lgm", "soft", "straight-through")]
            rows.append((firsts.pop(0), f"{2 * eps:g}/255", percent(baseline["accuracy"], 2), *cells))
    header = ("network", "eps", "FGM", "LGM", "soft", "straight-through")
    return "\n" + table(header, rows) + "\n"


def control_rooms() -> str:
    """Return the mIoU of each generated room under each gradient."""
    rows = []
    for network, name in (("minkunet14-scannet", "ScanNet's layout"), ("minkunet14-s3dis", "S3DIS's layout")):
        arms = _room(network, "official")
        left = (percent(arms[gradient]["miou"]) for gradient in ("fgm", "lgm", "soft", "straight-through"))
        rows.append((f"minkunet14, {name}", percent(arms["fgm"]["clean_miou"]), *left))
    return "\n" + table(("", "clean", "FGM", "LGM", "soft", "straight-through"), rows) + "\n"


def _room(network: str, protocol: str) -> dict[str, dict[str, float]]:
    """Return the numbers of the cells on one room, by gradient."""
    cells = [(one["cell"], one["metrics"]) for one in control()["results"]]
    return {c["gradient"]["name"]: n for c, n in cells if (c["victim"], c["protocol"]) == (network, protocol)}


def _arm(pair: dict[str, Any]) -> str:
    value = percent(pair["arm_value"], 2)
    bold = "**" if pair["verdict"] == "stronger" else ""
    return f"{bold}{value}{bold} ({signed(pair['interval'][0])} to {signed(pair['interval'][1])})"


# BIM on networks of which each gradient says something else


def bim_table(network: str) -> str:
    """Return the accuracy under each gradient and the paired difference to FGM; bold where it is surely lower."""
    verdicts = [one for one in json.loads(BIM.read_text(encoding="utf-8"))["verdicts"] if one["network"] == network]
    right = {one["gradient"]: np.array([[letter == "+"] for letter in one["samples"]], float) for one in verdicts}
    rows = []
    for one in verdicts:
        name, own = one["gradient"], right[one["gradient"]]
        n = len(own)
        left = f"{percent(own.mean())} ({_ends(bootstrap(own, lambda sums, n=n: sums[..., 0] / n), percent)})"
        difference = ""
        if name not in ("none", "fgm"):
            both = np.hstack([own, right["fgm"]])
            ends = bootstrap(both, lambda sums, n=n: (sums[..., 0] - sums[..., 1]) / n)
            difference = f"{signed((own - right['fgm']).mean())} ({_ends(ends, signed)})"
            left = f"**{left}**" if ends and ends[1] < 0 else left
        rows.append((name if name == "none" else gradient_name(name), one["slope"], left, difference))
    return "\n" + table(("gradient", "slope", "accuracy left", "difference to FGM"), rows, left=2) + "\n"


def _ends(ends: tuple[float, float] | None, written: Callable[[float], str]) -> str:
    return f"{written(ends[0])} to {written(ends[1])}" if ends else "all alike"


# The suite `mini`


def mini_cells() -> Iterator[tuple[str, str, float, str, dict[str, float]]]:
    """Yield victim, attack, eps, gradient and numbers of the cells of the suite."""
    for entry in json.loads(MINI.read_text(encoding="utf-8"))["cells"]:
        cell, numbers = entry["cell"], {name: one["expected"] for name, one in entry["numbers"].items()}
        yield cell["victim"]["name"], cell["attack"]["name"], cell["attack"]["eps"], cell["gradient"]["name"], numbers


def mini_digits() -> str:
    found = {(victim, attack, round(255 * eps), name): n for victim, attack, eps, name, n in mini_cells() if eps < 0.1}
    columns = [(victim, name) for victim in ("skipnet14-mini", "dynconv8-mini") for name in ("fgm", "lgm")]
    rows = [["clean", *(percent(found[victim, "fgsm", 6, name]["clean_accuracy"], 2) for victim, name in columns)]]
    for attack, eps in (("fgsm", 6), ("fgsm", 8), ("fgsm", 12), ("bim", 6)):
        values = [percent(found[victim, attack, eps, name]["accuracy"], 2) for victim, name in columns]
        rows.append([f"{attack} eps={eps}/255", *values])
    header = ["", "skipnet14-mini, FGM", "LGM", "dynconv8-mini, FGM", "LGM"]
    return "\n" + table(header, rows) + "\n"


def mini_points() -> str:
    """Return mIoUs or accuracies at each network's largest eps."""
    found: dict[str, dict[float, dict[str, dict[str, float]]]] = {}
    for victim, attack, eps, name, numbers in mini_cells():
        if attack in ("random", "pointbim"):
            found.setdefault(victim, {}).setdefault(eps, {})[name] = numbers
    rows = []
    for victim, by_eps in found.items():
        eps, arms = max(by_eps.items())
        metric, unit = ("miou", " m") if "miou" in arms["fgm"] else ("accuracy", "")
        values = [arms["fgm"][f"clean_{metric}"], *(arms[name][metric] for name in ("none", "fgm", "lgm"))]
        rows.append((victim, f"{eps:g}{unit}", *(percent(value, 2) for value in values)))
    return "\n" + table(("", "eps", "clean", "random", "FGM", "LGM"), rows) + "\n"


# Pages

TEXTS: dict[str, Callable[[], str]] = {
    **{f"board {kind}s": partial(board_table, kind) for kind in KINDS},
    "board remarks": board_remarks,
    "board networks": lambda: str(len({entry.network for entry in entries().values()})),
    "board adaptive": lambda: str(len(adaptive())),
    "board leads": lambda: str(sum(leads(entry.gain, entry.n_samples) for entry in adaptive())),
    "board limited": lambda: str(sum(entry.limited for entry in entries().values())),
    "control": control_table,
    "control rooms": control_rooms,
    "control denominator": lambda: percent(_room("minkunet14-scannet", "standard")["fgm"]["miou"]),
    **{f"bim {name}": partial(bim_table, f"{name}-cifar10") for name in BIM_NETWORKS},
    "mini digits": mini_digits,
    "mini points": mini_points,
}


def text_of(name: str) -> str:
    """Return what the records say for the name in a marker."""
    return TEXTS[name]() if name in TEXTS else of_entry(name.split())


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def renewed(page: str) -> str:
    """Return a page's text with the numbers of the records."""
    return MARKED.sub(lambda found: found[1] + text_of(found[2]) + found[4], page)


def on_pre_build(**_: object) -> None:
    """Let the documentation be built only with the numbers of the records."""
    stale = [page.name for page in pages() if (text := page.read_text(encoding="utf-8")) != renewed(text)]
    if stale:
        from mkdocs.exceptions import PluginError

        raise PluginError(f"numbers in {', '.join(stale)} are not those of the records; run python docs/records.py")


if __name__ == "__main__":
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if before != (after := renewed(before)):
            page.write_text(after, encoding="utf-8")
            print(f"written: {page.relative_to(ROOT)}")
