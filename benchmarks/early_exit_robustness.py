"""How robust RDI-ResNet38 (Hu et al. 2020) is, under its released attacks and under gradients that follow its exits.

    python benchmarks/early_exit_robustness.py rdi_resnet38-cifar10.pth.tar --slope 4 --images 500

Every attack is PGD in an L-infinity ball of 8/255, 20 steps of 2/255 from a uniformly random start, on the first test
images of CIFAR-10. The table has the accuracy left, and beside it that under FGM with as many restarts as the attack
has runs. Of several runs the worst one counts for each image. An image that the network gets wrong without an attack
has fallen under all of them. Finished runs stay in the folder `--out`: the same command goes on where it was killed.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import lgm_bench  # noqa: F401  # isort: skip  (before torch: it sets how idle threads wait)
import torch
from torch import Tensor, nn

from datamodules.cifar10 import CIFAR10DataModule
from lgm_bench import FGM, LGM, Soft, StraightThrough
from lgm_bench.attacks import PGD
from lgm_bench.attacks.objectives import ExitCrossEntropy
from lgm_bench.leaded import GradientMethod
from lgm_bench.results.statistics import bootstrap
from victims import load_victim
from victims.early_exit import EarlyExit
from victims.folding import folded

EXITS, RESTARTS = 7, 12
AT_ONCE = 50
Answer = Callable[[Tensor], Tensor]
"""From images (B, 3, 32, 32) to logits (B, 10)."""
Run = tuple[PGD, GradientMethod]
Fallen = dict[str, np.ndarray]
"""For each run, which images have fallen, (N,) bool."""


def runs(slope: float) -> Iterator[tuple[str, list[Run]]]:
    """Yield each attack by name, with its runs: those after the first are needed only where the earlier ones failed."""

    def pgd(exits: ExitCrossEntropy | None = None, seed: int = 0) -> PGD:
        return PGD(8 / 255, step=2 / 255, steps=20, loss=exits, seed=seed)

    yield "fgm", [(pgd(seed=seed), FGM()) for seed in range(RESTARTS)]
    yield "exits", [(pgd(ExitCrossEntropy(number)), FGM()) for number in reversed(range(EXITS))]
    yield "average", [(pgd(ExitCrossEntropy()), FGM())]
    yield "lgm", [(pgd(), LGM(slope))]
    yield "soft", [(pgd(), Soft(slope))]
    yield "straight-through", [(pgd(), StraightThrough(slope))]
    yield "static", [(pgd(ExitCrossEntropy(-1), seed), FGM()) for seed in range(RESTARTS)]


def measured(victim: nn.Module, network: EarlyExit, data: CIFAR10DataModule, slope: float, out: Path) -> Fallen:
    """Return for "clean" (N,) and for each attack (N, runs) which images have fallen by then."""

    def main_exit(images: Tensor) -> Tensor:
        return network.all_exits((images - victim.mean) / victim.std)[:, -1]

    parts = []
    for number, (images, labels, ids) in enumerate(data.test_dataloader()):
        part = {"clean": (victim(images).argmax(dim=1) != labels).numpy()}
        for name, several in runs(slope):
            with_slope = f"{name}-slope{slope:g}" if several[0][1].softens else name
            path = out / f"{with_slope}-{number * AT_ONCE:05d}-{len(labels)}.npy"
            if not path.exists():
                answer: Answer = main_exit if name == "static" else victim
                np.save(path, fallen(victim, answer, images, labels, ids, several).numpy())
                print(f"{path.name} of {data.limit} images: done", flush=True)
            part[name] = np.load(path)
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def fallen(
    victim: nn.Module, answer: Answer, images: Tensor, labels: Tensor, ids: list[str], several: list[Run]
) -> Tensor:
    """Return which images (B, runs) have fallen after each run; later runs attack only those that have not."""
    down, after = answer(images).argmax(dim=1) != labels, []
    for attack, gradient in several:
        left = (~down).nonzero().squeeze(1)
        if len(left):
            names = [ids[row] for row in left.tolist()]
            moved = attack.perturb(victim, images[left], labels[left], gradient=gradient, ids=names)
            down[left] = answer(moved).argmax(dim=1) != labels[left]
        after.append(down.clone())
    return torch.stack(after, dim=1)


def table(down: Fallen) -> str:
    """Return the table in Markdown, with bootstrap intervals of the paired differences."""
    first = {name: after[:, 0] for name, after in down.items() if name != "clean"}
    released = down["exits"][:, -1] | first["average"]
    leaded = first["lgm"] | first["soft"] | first["straight-through"]
    six = leaded | first["exits"] | first["average"] | first["fgm"]
    rows = [
        ("main exit", 1, first["exits"]),
        ("average of the exits", 1, first["average"]),
        ("worst of the seven exits", EXITS, down["exits"][:, -1]),
        ("worst of the released attacks", EXITS + 1, released),
        ("FGM", 1, first["fgm"]),
        ("LGM", 1, first["lgm"]),
        ("soft", 1, first["soft"]),
        ("straight-through", 1, first["straight-through"]),
        ("worst of main exit, average, FGM, LGM, soft, straight-through", 6, six),
        ("worst of all", EXITS + 5, released | six),
    ]
    lines = [
        "| attack | gradients per image | accuracy left | FGM, as many gradients | difference |",
        "|---|---:|---:|---:|---:|",
        f"| none | 0 | {left(down['clean'])} | | |",
    ]
    for name, count, attacked in rows:
        restarted = down["fgm"][:, count - 1]
        compared = " " if name == "FGM" else f" {difference(restarted, attacked)} "
        lines.append(f"| {name} | {20 * count} | {left(attacked)} | {left(restarted)} |{compared}|")
    static = down["static"]
    lines += [
        "",
        f"{len(static)} images. The main exit by itself, as a static network attacked with its own loss:",
        "",
        "| runs | main exit by itself | whole network, FGM | whole network, LGM or so many different runs |",
        "|---:|---:|---:|---:|",
    ]
    for count, worst in ((1, first["lgm"]), (6, six), (EXITS + 5, released | six)):
        alone, fgm = static[:, count - 1], down["fgm"][:, count - 1]
        several = f"{left(worst)}, {difference(alone, worst)}"
        lines.append(f"| {count} | {left(alone)} | {left(fgm)}, {difference(alone, fgm)} | {several} |")
    return "\n".join(lines)


def left(attacked: np.ndarray) -> str:
    """Return the share of images that have not fallen, with its interval, in percent."""
    mean = 100 * (1 - attacked.mean())
    interval = bootstrap(1.0 - attacked[:, None], lambda sums: 100 * sums[..., 0] / len(attacked))
    return f"{mean:.1f}" + (f" ({interval[0]:.1f} to {interval[1]:.1f})" if interval else "")


def difference(before: np.ndarray, after: np.ndarray) -> str:
    """Return how much more accuracy is left in `after` than in `before`, with the interval, in points."""
    both = 1.0 - np.stack([before, after], axis=1)
    interval = bootstrap(both, lambda sums: 100 * (sums[..., 1] - sums[..., 0]) / len(both))
    value = f"{100 * (both[:, 1].mean() - both[:, 0].mean()):+.1f}"
    return value + (f" ({interval[0]:+.1f} to {interval[1]:+.1f})" if interval else "")


@torch.no_grad()
def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--slope", type=float, required=True, help="of LGM, soft and straight-through")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--data-root")
    parser.add_argument("--out", type=Path, default=Path("results/early_exit_robustness"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    victim = folded(load_victim("rdi_resnet38-cifar10", options.checkpoint))
    data = CIFAR10DataModule(options.data_root, batch_size=AT_ONCE, limit=options.images)
    data.setup("test")
    print(table(measured(victim, victim.network, data, options.slope, options.out)))


if __name__ == "__main__":
    main()
