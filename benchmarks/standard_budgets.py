"""How close `standard-fast` comes to `standard`, and at which share of the gradients.

    python benchmarks/standard_budgets.py skipnet14-mini --data digits --eps 6/255 --images 500

Both budgets attack the same held-out training images, never test images, in the order that their own pilot gives the
members. The controls are left out, since no number here depends on them. Finished budgets stay in the folder `--out`.
Without a victim, the script prints the table of all victims there.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from held_out import parser, victim_and_images
from torch import nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks.budgets import LinfBall
from lgm_bench.attacks.standard import SCHEDULES, Standard, in_order, members_of, methods_of, pilot
from lgm_bench.results.statistics import bootstrap
from lgm_bench.standard.image_stage import ImageStage

BUDGETS = "standard", "standard-fast"
BATCH = 200


def measure(network: nn.Module, batch: ImageBatch, eps: float, budget: str, path: Path) -> None:
    """Keep for each image which member felled it, "" if none did, and the number of gradients."""
    schedule, ball = SCHEDULES[budget], LinfBall(eps)
    first = ImageBatch(*(part[: ImageStage.pilot] for part in batch))
    members = members_of(network, first.images, schedule)
    methods = methods_of(network, members, first.images)
    ordered = in_order(members, pilot(Standard(ball, schedule, members, methods), network, *first))
    attack, felled_by, gradients = Standard(ball, schedule, ordered, methods), [], []
    for start in range(0, len(batch.ids), BATCH):
        images, labels, ids = (part[start : start + BATCH] for part in batch)
        result = attack.attack(network, images, labels, ids=ids)
        felled_by += [result.felled_by.get(name, "") for name in ids]
        gradients += result.gradients.tolist()
    most = attack.gradients(network(first.images[:1]).shape[1])
    np.savez(path, felled_by=felled_by, gradients=gradients, most=most)


def table(folders: Sequence[Path]) -> str:
    """Return a table in Markdown: accuracy under each budget, the difference, and the share of the gradients."""
    lines = [
        "| network | images | none | standard | standard-fast | difference | gradients per image | share |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join(
        lines + [_line(folder) for folder in folders if all((folder / f"{b}.npz").exists() for b in BUDGETS)]
    )


def _line(folder: Path) -> str:
    both = [np.load(folder / f"{budget}.npz") for budget in BUDGETS]
    stands = np.stack([part["felled_by"] == "" for part in both], axis=1).astype(float)
    spent = np.stack([part["gradients"] for part in both], axis=1).astype(float)
    parts = np.concatenate([stands, spent], axis=1)
    n, clean = len(parts), (both[0]["felled_by"] != "clean").mean()

    def difference(sums: np.ndarray) -> np.ndarray:
        return (sums[..., 1] - sums[..., 0]) / n

    def share(sums: np.ndarray) -> np.ndarray:
        return sums[..., 3] / sums[..., 2]

    cells = [
        folder.name, n, f"{clean:.1%}", *(f"{left:.1%}" for left in stands.mean(axis=0)),
        f"{100 * difference(parts.sum(axis=0)):+.2f} {_interval(bootstrap(parts, difference))}",
        " and ".join(f"{mean:,.0f}" for mean in spent.mean(axis=0)),
        f"{100 * share(parts.sum(axis=0)):.1f} % {_interval(bootstrap(parts, share))}",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _interval(interval: tuple[float, float] | None) -> str:
    return f"({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""


@torch.no_grad()
def main() -> None:
    """Measure what is missing of one victim and print the table; without a victim, that of all that are there."""
    options = parser(__doc__.splitlines()[0], Path("results/standard_budgets")).parse_args()
    if options.victim:
        out = options.out / f"{options.victim}-{options.eps * 255:g}-{options.images}"
        out.mkdir(parents=True, exist_ok=True)
        network, batch = victim_and_images(options)
        for budget in reversed(BUDGETS):
            if not (out / f"{budget}.npz").exists():
                measure(network, batch, options.eps, budget, out / f"{budget}.npz")
    print(table(sorted(options.out.iterdir())))


if __name__ == "__main__":
    main()
