"""What makes the leaded attack stronger: the soft forward pass, or gradient through the occupancy?

Run it as `python benchmarks/soft_or_leaded.py --data-root DIR`. It attacks the CIFAR-10 victims that were trained here
by FGSM with four gradients: FGM; LGM; LGM's soft occupancy held constant, which passes no gradient; and LGM with a hard
forward pass, which passes gradient through the occupancy but at the hard network's own activations. It prints the
accuracy left in percent, official protocol.
"""

import argparse

from torch import nn

from datamodules.batch import ImageBatch
from datamodules.cifar10 import CIFAR10DataModule
from lgm_bench.attacks import FGSM
from lgm_bench.leaded import FGM, LGM, GradientMethod, Soft, StraightThrough, hard_forward
from victims import load_victim
from victims.folding import folded

SLOPES = {
    "skipnet20-cifar10": {1: 0.2, 2: 0.05, 4: 0.02, 8: 0.05},
    "dynconv20-cifar10": {1: 0.3, 2: 0.2, 4: 0.15, 8: 0.1},
}


def accuracy_left(victim: nn.Module, batches: list[ImageBatch], eps: float, gradient: GradientMethod) -> float:
    """Return the accuracy after the attack in percent; images that were wrong before stay wrong."""
    right = 0
    for batch in batches:
        clean = hard_forward(victim, batch.images)[0].argmax(1)
        attack = FGSM(eps * 2 / 255, bounds=(-1.0, 1.0))
        attacked = attack.perturb(victim, batch.images, batch.labels, gradient=gradient)
        prediction = hard_forward(victim, attacked)[0].argmax(1)
        right += int(((prediction == batch.labels) & (clean == batch.labels)).sum())
    return 100 * right / sum(len(batch.labels) for batch in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root")
    parser.add_argument("--limit", type=int, default=2000)
    options = parser.parse_args()
    data = CIFAR10DataModule(options.data_root, batch_size=250, limit=options.limit)
    data.setup("test")
    batches = list(data.test_dataloader())
    print(f"{'victim':20}{'eps':>4}{'slope':>7}{'FGM':>8}{'LGM':>8}{'soft, constant':>16}{'LGM, hard forward':>19}")
    for name, slopes in SLOPES.items():
        victim = folded(load_victim(name))
        for eps, slope in slopes.items():
            methods = (FGM(), LGM(slope), Soft(slope), StraightThrough(slope))
            fgm, lgm, constant, hard = (accuracy_left(victim, batches, eps, method) for method in methods)
            print(f"{name:20}{eps:4}{slope:7}{fgm:8.2f}{lgm:8.2f}{constant:16.2f}{hard:19.2f}", flush=True)


if __name__ == "__main__":
    main()
