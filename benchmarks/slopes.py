"""How strong are automatic slopes, beside the best single slope of a grid and beside FGM?

Run it as `python benchmarks/slopes.py VICTIM ...`, with `--data-root DIR` for data that has to be brought. It attacks
held-out training images by FGSM and by BIM of 10 steps; each attack takes the same number of gradients whatever it
follows. It prints the accuracy left in percent; docs/slopes.md holds what it has printed.
"""

import argparse

import torch
from torch import nn

from datamodules import load_datamodule
from datamodules.batch import ImageBatch
from lgm_bench.attacks import BIM, FGSM
from lgm_bench.attacks.attack import Attack
from lgm_bench.leaded import FGM, LGM, GradientMethod, calibrated, hard_forward, recorded_calls
from victims import load_victim
from victims.folding import folded

CALIBRATED_ON = 8  # images, as in a cell of a benchmark
RELATIVE = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # grid of slopes, times the usual margin


def left(victim: nn.Module, batch: ImageBatch, attack: Attack, gradient: GradientMethod) -> float:
    """Return the accuracy after the attack in percent; images that were wrong before stay wrong."""
    right = hard_forward(victim, batch.images)[0].argmax(1) == batch.labels
    attacked = attack.perturb(victim, batch.images, batch.labels, gradient=gradient)
    still = hard_forward(victim, attacked)[0].argmax(1) == batch.labels
    return 100 * (right & still).double().mean().item()


def usual_margin(victim: nn.Module, batch: ImageBatch) -> float:
    """Return the median over units of the median of their absolute margins."""
    with recorded_calls(victim) as calls:
        hard_forward(victim, batch.images)
    return torch.stack([call.score.abs().median() for call in calls]).median().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("victims", nargs="+")
    parser.add_argument("--data", default=None, help="data set; default: digits, or that of the victim's name")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--eps", type=int, nargs="+", default=[2, 4, 8], help="in 1/255, of FGSM")
    parser.add_argument("--bim-eps", type=int, nargs="+", default=[2], help="in 1/255, of BIM with steps of eps / 4")
    options = parser.parse_args()
    for name in options.victims:
        data = options.data or {"mini": "digits"}.get(name.partition("-")[2], name.partition("-")[2])
        victim = folded(load_victim(name, options.checkpoint))
        module = load_datamodule(
            data, data_root=options.data_root, batch_size=options.limit, limit=options.limit, subset="holdout"
        )
        module.prepare_data()
        module.setup("test")
        batch = next(iter(module.test_dataloader()))
        margin = usual_margin(victim, batch)
        attacks = [FGSM(eps / 255) for eps in options.eps]
        attacks += [BIM(eps / 255, eps / 255 / 4, 10) for eps in options.bim_eps]
        for attack in attacks:
            fgm = left(victim, batch, attack, FGM())
            auto = calibrated(LGM("auto"), victim, batch.images[:CALIBRATED_ON], attack.steps)
            lgm = left(victim, batch, attack, auto)
            found = {c / margin: left(victim, batch, attack, LGM(c / margin)) for c in RELATIVE}
            best = min(found, key=lambda slope: found[slope])
            print(
                f"{name:24}{attack.name:6}{255 * attack.eps:4.0f}/255  FGM {fgm:5.1f}  auto {lgm:5.1f}  "
                f"best slope {found[best]:5.1f} ({best:.3g})",
                flush=True,
            )


if __name__ == "__main__":
    main()
