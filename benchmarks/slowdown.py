"""How much of the compute that an adaptive network saves an attack takes back, with intervals.

    python benchmarks/slowdown.py rdi_resnet38-cifar10=CHECKPOINT:auto,8 dynconv20-cifar10:auto,auto/4 --images 300

Images are the first test images of CIFAR-10; all of them are attacked, with the same number of gradients, within
L-infinity 8/255. The slope of LGM is the one of those given after the colon that costs most on held-out training
images. Point networks, which are named without a slope, take shapes within a cube. Finished runs stay in the folder
`--out`: the same command goes on where it was killed.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datamodules import load_datamodule
from datamodules.cifar10 import CIFAR10DataModule
from lgm_bench import FGM, LGM
from lgm_bench.attacks import BIM, Adam, PointBIM, RandomNoise, RandomPerturbation
from lgm_bench.leaded import Exit, decision_costs
from lgm_bench.leaded.recording import hard_units
from lgm_bench.leaded.slopes import automatic_slopes
from lgm_bench.results.statistics import bootstrap
from lgm_bench.sparse.cost import counted_cost
from victims import load_victim
from victims.folding import folded

EPS, STEP = 8 / 255, 2 / 255
MANY = 100
POINT_EPS, POINT_STEPS = 0.02, 6
AT_ONCE = 50
Changed = Callable[[Tensor, Tensor, list[str]], Tensor]
"""From images, labels and ids to attacked images."""


def attacks(victim: nn.Module, steps: int, method: LGM) -> Iterator[tuple[str, Changed]]:
    """Yield the attacks by name; DeepSloth's loss is for networks with exits only."""

    def of(attack: Any, gradient: Any) -> Changed:
        return lambda images, labels, ids: attack.perturb(victim, images, labels, gradient=gradient, ids=ids)

    step = STEP if steps < MANY else STEP / 2
    if steps < MANY:
        yield "random noise", of(RandomNoise(EPS, steps=steps, loss="compute"), FGM())
    if any(isinstance(module, Exit) for module in victim.modules()):
        yield "DeepSloth", of(BIM(EPS, step, steps, loss="deepsloth"), FGM())
    yield "GradMDM", of(Adam(EPS, steps=steps, loss="gradmdm"), FGM())
    if steps >= MANY:
        yield "GradMDM with its L2 norm", of(Adam(EPS, steps=steps, loss="gradmdm-l2"), FGM())
    yield "compute, LGM", of(BIM(EPS, step, steps, loss="compute"), method)


def loader(subset: str, images: int, data_root: str | None) -> Any:
    """Return batches of the first images of a subset of CIFAR-10."""
    data = CIFAR10DataModule(data_root, batch_size=AT_ONCE, limit=images, subset=subset)
    data.setup("test")
    return data.test_dataloader()


def executed(victim: nn.Module, images: Tensor) -> np.ndarray:
    """Return the share of the full network's multiply-adds that each image takes, (B,)."""
    costs = decision_costs(victim, images[:1])
    return (costs.of(hard_units(victim, images)[1]) / costs.full).numpy()


def measured(victim: nn.Module, change: Changed | None, batches: Any, path: Path) -> np.ndarray:
    """Return (N, 2): the executed share of each image and whether the prediction is right, from `path` if it exists."""
    if not path.exists():
        parts = []
        for images, labels, ids in batches:
            moved = images if change is None else change(images, labels, ids)
            right = (victim(moved).argmax(dim=1) == labels).numpy()
            parts.append(np.stack([executed(victim, moved), right], axis=1))
        np.save(path, np.concatenate(parts))
        print(f"{path.name}: done", flush=True)
    return np.load(path)


def of_victim(asked: str, options: argparse.Namespace) -> Iterator[str]:
    """Yield the table's lines of an image network."""
    source, _, slopes = asked.partition(":")
    name, _, checkpoint = source.partition("=")
    victim = folded(load_victim(name, checkpoint or None))
    chosen, best = "", -1.0
    for slope in slopes.split(","):
        path = options.out / f"{name}-holdout-{slope.replace('/', 'by')}-{options.steps}-{options.holdout}.npy"
        *_, (_, change) = attacks(victim, options.steps, method(victim, slope, options))
        mean = measured(victim, change, loader("holdout", options.holdout, options.data_root), path)[:, 0].mean()
        print(f"{name}: slope {slope} executes {mean:.1%} of {options.holdout} held-out images", flush=True)
        if mean > best:
            chosen, best = slope, mean
    test = f"{options.steps}-{options.images}.npy"
    clean = measured(victim, None, loader("test", options.images, options.data_root), options.out / f"{name}-{test}")
    yield line(name, "none", clean, clean)
    for attack, change in attacks(victim, options.steps, method(victim, chosen, options)):
        setting = f" (slope {chosen})" if "LGM" in attack else ""
        path = options.out / f"{name}-{file_name(attack + setting)}-{test}"
        after = measured(victim, change, loader("test", options.images, options.data_root), path)
        yield line("", attack + setting, clean, after)


def file_name(attack: str) -> str:
    """Return an attack's name with letters, digits and hyphens only."""
    return "-".join(re.findall(r"\w+", attack))


def method(victim: nn.Module, slope: str, options: argparse.Namespace) -> LGM:
    """Return LGM with a slope: a number, "auto", or "auto/4"; automatic ones are those of the first held-out images."""
    automatic, _, divisor = slope.partition("/")
    if automatic != "auto":
        return LGM(float(slope))
    images, *_ = next(iter(loader("holdout", AT_ONCE, options.data_root)))
    return LGM({name: found / float(divisor or 1) for name, found in automatic_slopes(victim, images).items()})


def of_points(name: str, options: argparse.Namespace) -> Iterator[str]:
    """Yield the table's lines of a network of shapes: operations relative to those of the unchanged shapes."""
    victim, data = load_victim(name), load_datamodule(name.partition("-")[2], batch_size=10, limit=options.images)
    data.prepare_data()
    data.setup("test")
    step = POINT_EPS / 4
    accuracy = PointBIM(POINT_EPS, step, POINT_STEPS)
    clean: np.ndarray | None = None
    for attack, used, gradient in (
        ("none", None, None),
        ("random moves", RandomPerturbation(POINT_EPS, steps=POINT_STEPS, loss="compute"), FGM()),
        ("compute, LGM (slope auto)", PointBIM(POINT_EPS, step, POINT_STEPS, loss="compute"), LGM("auto")),
        ("fewest of random moves", RandomPerturbation(POINT_EPS, steps=POINT_STEPS, loss="underload"), FGM()),
        ("underload, LGM (slope auto)", PointBIM(POINT_EPS, step, POINT_STEPS, loss="underload"), LGM("auto")),
        ("cross-entropy, FGM", accuracy, FGM()),
        ("cross-entropy, LGM (slope auto)", accuracy, LGM("auto")),
    ):
        path = options.out / f"{name}-{file_name(attack)}-{options.images}.npy"
        if not path.exists():
            parts = []
            for cloud, labels, ids in data.test_dataloader():
                moved = used and cloud.moved(used.perturb(victim, cloud, labels, gradient=gradient, ids=ids))
                with counted_cost() as cost:
                    right = (victim(moved or cloud).argmax(dim=1) == labels).numpy()
                parts.append(np.stack([cost.of_scenes(len(ids)).numpy(), right], axis=1))
            np.save(path, np.concatenate(parts))
        after = np.load(path)
        clean = after if clean is None else clean
        ratio = after / np.array([clean[:, 0].mean(), 1])
        yield line(name if used is None else "", attack, clean / np.array([clean[:, 0].mean(), 1]), ratio, full=None)


def line(name: str, attack: str, clean: np.ndarray, after: np.ndarray, full: float | None = 1.0) -> str:
    """Return a line of the table: executed share, share of the saving that is taken back, and accuracy, in percent."""
    shares = interval(after[:, :1], lambda sums: sums[..., 0] / len(after))
    back = ""
    if full is not None and attack != "none":
        pairs = np.stack([after[:, 0] - clean[:, 0], full - clean[:, 0]], axis=1)
        back = interval(pairs, lambda sums: sums[..., 0] / sums[..., 1])
    accuracy = interval(after[:, 1:], lambda sums: sums[..., 0] / len(after))
    return f"| {name} | {attack} | {shares} | {back} | {accuracy} |"


def interval(samples: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> str:
    """Return a statistic of the samples' sum with its interval, in percent."""
    found = bootstrap(samples, statistic)
    between = f" ({100 * found[0]:.1f} to {100 * found[1]:.1f})" if found else ""
    return f"{100 * float(statistic(samples.sum(axis=0))):.1f}{between}"


@torch.no_grad()
def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("victims", nargs="+", metavar="VICTIM[=CHECKPOINT]:SLOPES")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--holdout", type=int, default=100, help="held-out images that choose the slope")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--data-root", help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, default=Path("results/slowdown"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = ["| network | attack | executed | taken back | accuracy |", "|---|---|---:|---:|---:|"]
    for asked in options.victims:
        lines += of_victim(asked, options) if ":" in asked else of_points(asked, options)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
