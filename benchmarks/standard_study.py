"""Which members the standard evaluation should have: every candidate alone, and the best of them together.

    python benchmarks/standard_study.py skipnet20-cifar10 --eps 1/255 --images 100
    python benchmarks/standard_study.py rdi_resnet38-cifar10 --checkpoint rdi_resnet38-cifar10.pth.tar --eps 8/255
    python benchmarks/standard_study.py moe14-mini --data digits --eps 6/255 --images 64

The images are held-out training images, never test images. Each candidate is one run of Auto-PGD; "@6" is the slope
times the root mean square of each gate's margins. "annealed" goes from the slope 1.5 to 20 within the run, and "mixed"
follows the mean of the logits of the hard and the soft network, at half of the steps since it computes both. "noisy"
adds logistic noise to the margins before they are softened, drawn anew in every pass; "noisy-4" follows the mean of
the logits of four such passes, at a quarter of the steps. The greedy order takes the run next that fells most of the
images that still stand, and the control is FGM with as many restarts.
Finished runs stay in the folder `--out`. Without a victim, the script prints the tables of all victims there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from held_out import parser, victim_and_images
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench import FGM, LGM, Soft, StraightThrough
from lgm_bench.attacks.ensemble import Ensemble, Round
from lgm_bench.attacks.standard import AlwaysOn, Schedule, members_of
from lgm_bench.leaded.slopes import automatic_slopes
from lgm_bench.standard.averaged import Averaged
from lgm_bench.voxels import Reach

RESTARTS, TARGETS = 10, 3
CONSTANTS = (1.5, 6.0, 20.0)
MIXED, NOISY = "ce/mixed", "ce/noisy-4"
DRAWS = 4
SOFTENING = (LGM, Soft, StraightThrough)
Fallen = dict[str, np.ndarray]
"""Which images (N,) bool fall to each run, by its name."""
EVERYTHING = Schedule("study", 1, 1, 1, (), (), fab=False)


class Single(Ensemble):
    """One run of one candidate."""

    name = "study"
    one: Round

    def rounds(self, aims: int) -> list[Round]:  # noqa: ARG002
        return [self.one]


class Annealed(LGM):
    """LGM whose slope grows from the smallest of `CONSTANTS` to the largest, by the same factor at every gradient."""

    name = "annealed"

    def __init__(self, network: nn.Module, images: Tensor, gradients: int) -> None:
        super().__init__()
        self.unit, self.gradients, self.computed = automatic_slopes(network, images, 1.0), gradients, 0

    @contextmanager
    def applied_to(self, victim: nn.Module, reach: Reach | None = None) -> Iterator[None]:
        share = min(1.0, self.computed / (self.gradients - 1))
        constant = CONSTANTS[0] * (CONSTANTS[-1] / CONSTANTS[0]) ** share
        self.slope = {name: constant * slope for name, slope in self.unit.items()}
        self.computed += 1
        with super().applied_to(victim, reach):
            yield


class Mixed(nn.Module):
    """The mean of the logits of the hard network and of the network under the gradient method in force."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        soft = self.network(images)
        with FGM().applied_to(self.network):
            return (soft + self.network(images)) / 2


class NoisyGates(LGM):
    """LGM with logistic noise on the margins: its gates are relaxed Bernoulli variables (Maddison et al. 2017)."""

    name = "noisy"

    def __init__(self, slope: dict[str, float]) -> None:
        super().__init__(slope)
        self.generator = torch.Generator().manual_seed(0)

    def softened(self, margin: Tensor, slope: float) -> Tensor:
        uniform = torch.rand(margin.shape, generator=self.generator).clamp(1e-6, 1 - 1e-6)
        return super().softened(margin + uniform.logit() / slope, slope)


WRAPPERS = {MIXED: Mixed, NOISY: partial(Averaged, passes=DRAWS)}
"""What takes the place of the network in some runs, by the beginning of their names."""


def candidates(network: nn.Module, images: Tensor, steps: int) -> Iterator[tuple[str, Round]]:
    """Yield every run by name; those under FGM with another start are the control."""
    yield "ce/annealed", Round("apgd-ce/annealed", 0, steps, "apgd", method=Annealed(network, images, steps + 1))
    for constant in CONSTANTS[1:]:
        method = LGM(automatic_slopes(Mixed(network), images, constant))
        yield f"{MIXED}@{constant:g}", Round("apgd-ce/mixed", 0, (steps + 1) // 2 - 1, "apgd", method=method)
    for constant in CONSTANTS:
        method = NoisyGates(automatic_slopes(network, images, constant))
        yield f"ce/noisy@{constant:g}", Round("apgd-ce/noisy", 0, steps, "apgd", method=method)
        method = NoisyGates(automatic_slopes(WRAPPERS[NOISY](network), images, constant))
        yield f"{NOISY}@{constant:g}", Round("apgd-ce/noisy", 0, (steps + 1) // DRAWS - 1, "apgd", method=method)
    for seed in range(RESTARTS):
        yield f"ce/fgm#{seed}", Round("apgd-ce", seed, steps, "apgd", method=FGM())
    for rank in range(TARGETS):
        yield f"t{rank}/fgm", Round("apgd-t", rank, steps, "apgd-t", method=FGM())
    for kind in SOFTENING:
        for constant in CONSTANTS:
            method = kind(automatic_slopes(network, images, constant))
            name = f"{method.name}@{constant:g}"
            yield f"ce/{name}", Round(f"apgd-ce/{name}", 0, steps, "apgd", method=method)
            yield f"t0/{name}", Round(f"apgd-t/{name}", 0, steps, "apgd-t", method=method)
    for member in members_of(network, images, EVERYTHING):  # always on, and the losses of the exits
        if member.gradient == "always-on" or "exit" in member.name:
            method = AlwaysOn() if member.gradient == "always-on" else FGM()
            yield member.name, Round(member.name, 0, steps, "apgd", member.objective, method)


def measure(victim: nn.Module, batch: ImageBatch, eps: float, steps: int, out: Path) -> None:
    """Keep for each run which images (N,) bool fall to it, and as "clean" those that need no attack."""
    images, labels, ids = batch
    np.save(out / "clean.npy", (victim(images).argmax(dim=1) != labels).numpy())
    for name, one in candidates(victim, images, steps):
        path = out / f"{name.replace('/', '_')}.npy"
        if not path.exists():
            attack = Single(eps, target_classes=TARGETS)
            attack.one = one
            wrapper = WRAPPERS.get(name.partition("@")[0])
            attacked = wrapper(victim).eval() if wrapper else victim
            felled_by = attack.attack(attacked, images, labels, ids=ids).felled_by
            np.save(path, np.array([sample in felled_by for sample in ids]))


def read(out: Path) -> Fallen:
    """Return the runs that are finished, by name."""
    return {path.stem.replace("_", "/", 1): np.load(path) for path in sorted(out.glob("*.npy"))}


def greedy(victims: list[Fallen]) -> Iterator[tuple[str, list[float]]]:
    """Yield the runs in the order in which they help most on average, with the share of images left of each victim."""
    rest = list(dict.fromkeys(name for fallen in victims for name in fallen if is_candidate(name)))
    down = [fallen["clean"] for fallen in victims]

    def gain(name: str) -> float:
        gains = [(fallen[name] & ~gone).mean() for fallen, gone in zip(victims, down, strict=True) if name in fallen]
        return float(sum(gains))

    while rest:
        best = max(rest, key=gain)
        if not gain(best):
            return
        down = [gone | fallen.get(best, gone) for fallen, gone in zip(victims, down, strict=True)]
        rest.remove(best)
        yield best, [left(gone) for gone in down]


def is_candidate(name: str) -> bool:
    return name == "ce/fgm#0" or (name != "clean" and "#" not in name)


def left(down: np.ndarray) -> float:
    return 100 * (1 - float(down.mean()))


def restarts(fallen: Fallen, count: int) -> float:
    return left(np.any([fallen[f"ce/fgm#{seed}"] for seed in range(min(count, RESTARTS))], axis=0))


def table(victims: dict[str, Fallen]) -> str:
    """Return two tables in Markdown: the runs alone, and the greedy order beside the control."""
    several = list(victims.values())
    head = " | ".join(victims)
    lines = [f"| run alone | {head} |", "|---|" + "---:|" * len(victims)]
    for name in dict.fromkeys(name for fallen in several for name in fallen if name == "clean" or is_candidate(name)):
        lines.append(_line(name, [left(fallen[name]) if name in fallen else None for fallen in several]))
    for count in (5, RESTARTS):
        lines.append(_line(f"FGM, {count} starts", [restarts(fallen, count) for fallen in several]))
    lines += ["", f"| the best run is added | {head} |", "|---|" + "---:|" * len(victims)]
    lines += [_line(name, list(after)) for name, after in greedy(several)]
    return "\n".join(lines)


def _line(name: str, values: list[float | None]) -> str:
    return f"| {name} | " + " | ".join("" if value is None else f"{value:.1f}" for value in values) + " |"


@torch.no_grad()
def main() -> None:
    """Measure what is missing of one victim, and print the tables; without a victim, those of all that are there."""
    arguments = parser(__doc__.splitlines()[0], Path("results/standard_study"))
    arguments.add_argument("--steps", type=int, default=20)
    options = arguments.parse_args()
    if options.victim is None:
        print(table({out.name: read(out) for out in sorted(options.out.iterdir())}))
        return
    out = options.out / f"{options.victim}-{options.eps * 255:g}-{options.images}-{options.steps}"
    out.mkdir(parents=True, exist_ok=True)
    measure(*victim_and_images(options), options.eps, options.steps, out)
    print(table({out.name: read(out)}))


if __name__ == "__main__":
    main()
