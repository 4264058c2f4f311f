"""An early-exit network of one's own, trained on handwritten digits and attacked: `python examples/early_exit.py`.

The network answers at the first exit that is confident enough. In the hard network that choice is a constant, and the
plain gradient (FGM) sees only the exit that answers now. With an `Exit` gate the other gradients see the other exits.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules import load_datamodule
from lgm_bench import FGM, LGM, Exit, Soft, StraightThrough, architecture
from lgm_bench.attacks import BIM

EPS = 4 / 255


class EarlyExit(nn.Module):
    """Three stages of a small convolutional network with an exit after each: images (B, 3, 32, 32) to (B, 10)."""

    def __init__(self, confidence: float = 0.6) -> None:
        super().__init__()
        widths = (3, 16, 32, 32)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in pairwise(widths)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10)) for width in widths[1:]
        )
        self.exit = Exit([confidence, confidence])  # the last exit takes what is left

    def exits(self, x: Tensor) -> list[Tensor]:
        """Return the logits (B, 10) of every exit."""
        answers = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            answers.append(head(x))
        return answers

    def forward(self, x: Tensor) -> Tensor:
        answers = self.exits(x)
        confidence = torch.stack([answer.softmax(1).amax(1) for answer in answers[:-1]], dim=1)  # (B, 2)
        chosen = self.exit(confidence)  # (B, 3), sums to 1
        return (chosen[:, :, None] * torch.stack(answers, dim=1)).sum(1)


def trained(steps: int = 150) -> EarlyExit:
    """Return a network whose exits have all been trained on the digits."""
    torch.manual_seed(0)
    network, data = EarlyExit(), load_datamodule("digits", batch_size=1000)
    data.setup("fit")
    images, labels, _ = next(iter(data.train_dataloader()))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, steps)
    for _ in range(steps):
        batch = torch.randint(len(images), (64,))
        loss = sum(F.cross_entropy(answer, labels[batch]) for answer in network.exits(images[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def later_stages(network: nn.Module, images: Tensor) -> list[float]:
    """Return the shares of the images for which the second and the third stage have to run."""
    (executed,) = architecture(network, images)  # (B, 2) bool
    return executed.double().mean(0).tolist()


def main() -> dict[str, tuple[float, list[float]]]:
    """Print and return, per gradient, the accuracy left and how often the later stages run."""
    network, data = trained(), load_datamodule("digits", batch_size=200, limit=200)
    data.setup("test")
    images, labels, _ = next(iter(data.test_dataloader()))
    attack = BIM(eps=EPS, step=EPS / 4, steps=10)
    attacked = {"clean": images}
    for gradient in (FGM(), LGM(), Soft(), StraightThrough()):
        attacked[gradient.name] = attack.perturb(network, images, labels, gradient=gradient)
    results = {}
    for name, inputs in attacked.items():
        accuracy = (network(inputs).argmax(1) == labels).double().mean().item()
        results[name] = accuracy, later_stages(network, inputs)
        second, third = results[name][1]
        print(f"{name:16} {accuracy:6.1%} right; the second stage runs for {second:.0%}, the third for {third:.0%}")
    return results


if __name__ == "__main__":
    main()
