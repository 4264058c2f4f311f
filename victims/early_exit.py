"""Networks with early exits: RDI-ResNet38 (Hu et al. 2020), a ResNet8 with two exits, a cascade of static networks.

All have published weights. `EarlyExit` has what they share; each network says how its stages are built.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded import Exit
from lgm_bench.leaded.compute import Controls
from victims.image_victim import IMAGENET_MEAN, IMAGENET_STD, ImageVictim
from victims.residual import BasicBranch, stem
from victims.resnet_cifar import ResNetCIFAR

RELEASED, QUANTILE = "released", "quantile"
Thresholds = str | Sequence[float]
"""Of all exits but the last: numbers, `RELEASED`, or `QUANTILE` of images to be given, see `EarlyExit`."""


class EarlyExit(nn.Module):
    """A network in stages, each of which ends at an exit: logits = sum over exits of occupancy * logits of the exit.

    Args:
        thresholds: Numbers, as the publication states them; or "released", those of the published evaluation; or
            "quantile": `settle` has to be called with images before anything else.

    Attributes:
        released: The thresholds of the published evaluation; of a cascade, which nobody published, ours.
        low_is_confident: Whether an exit answers below its threshold and not above it.
        stages: Names of the modules of each stage: those of the trunk, in order, and the exit.
    """

    released: tuple[float, ...]
    low_is_confident: bool
    stages: list[tuple[list[str], str]]

    def __init__(self, thresholds: Thresholds = RELEASED) -> None:
        super().__init__()
        self.unsettled = thresholds == QUANTILE
        if isinstance(thresholds, str) and thresholds not in (RELEASED, QUANTILE):
            raise ConfigError(f"thresholds must be {RELEASED!r}, {QUANTILE!r} or numbers, got {thresholds!r}")
        numbers = self.released if isinstance(thresholds, str) else thresholds
        if len(numbers) != len(self.released):
            raise ConfigError(
                f"thresholds must be {len(self.released)} numbers, one for each exit but the last; got {list(numbers)}"
            )
        self.exit = Exit([-number for number in numbers] if self.low_is_confident else numbers)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The thresholds in force, as the publication states them."""
        return tuple(-number if self.low_is_confident else number for number in self.exit.thresholds)

    def confidence(self, logits: Tensor) -> Tensor:
        """Return how sure an exit is, (...) for logits (..., classes); above the gate's threshold it answers."""
        raise NotImplementedError

    def all_exits(self, x: Tensor) -> Tensor:
        """Return the logits of every exit, (B, K, classes), for images (B, 3, 32, 32)."""
        logits = []
        for trunk, branch in self.stages:
            x = self._through(trunk, x)
            logits.append(self.get_submodule(branch)(x))
        return torch.stack(logits, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) for images (B, 3, 32, 32)."""
        self._check_settled()
        logits = self.all_exits(x)
        occupancy = self.exit(self.confidence(logits[:, :-1]), outputs=logits)
        return (occupancy[:, :, None] * logits).sum(dim=1)

    @torch.no_grad()
    def deployed(self, x: Tensor) -> Tensor:
        """Return what `forward` does in the hard network, computing no stage of an image that has left."""
        self._check_settled()
        left, order, answers = torch.arange(len(x), device=x.device), [], []
        for (trunk, branch), threshold in zip(self.stages, [*self.exit.thresholds, None], strict=True):
            x = self._through(trunk, x)
            logits: Tensor = self.get_submodule(branch)(x)
            done = torch.ones(len(x), dtype=torch.bool, device=x.device)
            if threshold is not None:
                done = self.confidence(logits) > threshold
            answers.append(logits[done])
            order.append(left[done])
            x, left = x[~done], left[~done]
            if not len(x):
                break
        return torch.cat(answers)[torch.cat(order).argsort()]

    def controls(self) -> Controls:
        """Return the modules of each later stage, which run for the images that no earlier exit took."""
        return Controls({"exit": [[*trunk, branch] for trunk, branch in self.stages[1:]]})

    @torch.no_grad()
    def settle(self, batches: Sequence[Tensor]) -> None:
        """Set the thresholds so that every exit answers the same share of some images, (B, 3, 32, 32) a batch.

        This is the rule of RDI-Nets' evaluation, before its corrections: the threshold of an exit is the confidence at
        rank int(N / K) of the images that no earlier exit took.
        """
        confidences = torch.cat([self.confidence(self.all_exits(images)[:, :-1]) for images in batches])
        rank, thresholds = len(confidences) // (confidences.shape[1] + 1), []
        for number in range(confidences.shape[1]):
            ordered = confidences[:, number].sort(descending=True).values
            thresholds.append(ordered[min(rank, len(ordered) - 1)].item())
            confidences = confidences[confidences[:, number] <= thresholds[-1]]
        self.exit.thresholds = tuple(thresholds)
        self.unsettled = False

    def _check_settled(self) -> None:
        if self.unsettled:
            raise ConfigError(
                f"the thresholds of this {type(self).__name__} are quantiles of images that it has not seen; call "
                "network.settle([images]) with held-out training images, or choose 'released' or numbers"
            )

    def _through(self, trunk: Sequence[str], x: Tensor) -> Tensor:
        for name in trunk:
            x = self.get_submodule(name)(x)
        return x


class RDIResNet(EarlyExit):
    """Residual network of 6n + 2 layers with six branches (Hu et al., "Triple Wins", ICLR 2020); official key names.

    An exit answers where the entropy of its softmax is below its threshold.

    Args:
        thresholds: Entropies, see `EarlyExit`. The released ones come from ranks over CIFAR-10's test images.
        blocks: n, blocks of each of the three groups.
        num_classes: Width of the logits.
    """

    released = (0.2641864, 0.369756, 0.3614463, 0.7663924, 1.0350642, 1.3060616)
    low_is_confident = True

    def __init__(self, thresholds: Thresholds = RELEASED, blocks: int = 6, num_classes: int = 10) -> None:
        super().__init__(thresholds)
        widths = (16, 32, 64)
        self.conv1, self.bn1, _ = stem(widths[0], imagenet=False)
        self.relu = nn.ReLU()
        channels, names = widths[0], ["conv1", "bn1", "relu"]
        self.stages = []
        for group, width in enumerate(widths):
            for index in range(blocks):
                name = f"group{group}_layer{index}"
                self.add_module(name, BasicBranch(channels, width, 2 if group and not index else 1))
                channels = width
                names = [*names, name]
                if index in (1, 4):
                    branch = f"branch_layer{len(self.stages) + 1}"
                    self.add_module(branch, _branch(group, width, num_classes))
                    self.stages.append((names, branch))
                    names = []
        self.pool = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
        self.fc = nn.Linear(channels, num_classes)
        self.stages.append(([*names, "pool"], "fc"))

    def confidence(self, logits: Tensor) -> Tensor:
        p = logits.softmax(dim=-1)
        return (p * (p + 1e-5).log()).sum(dim=-1)  # minus the entropy, as the released code has it


def _branch(group: int, width: int, num_classes: int) -> nn.Sequential:
    if group == 0:
        return nn.Sequential(
            nn.MaxPool2d(2),
            nn.Conv2d(width, 64, 5, padding=2, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.AvgPool2d(8),
            nn.Flatten(),
            nn.Linear(32, num_classes),
        )
    narrowing = [nn.MaxPool2d(2), BasicBranch(width, width, 1)] if group == 1 else []
    return nn.Sequential(*narrowing, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(width, num_classes))


class PlainBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut, which is a 1x1 convolution where shapes change."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        first, second = nn.Conv2d(in_channels, channels, 3, stride, 1), nn.Conv2d(channels, channels, 3, padding=1)
        norms = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        kept = [] if stride == 1 and in_channels == channels else [nn.Conv2d(in_channels, channels, 1, stride)]
        residual = nn.Sequential(first, norms[0], nn.ReLU(), second, norms[1])
        self.layers = nn.ModuleList([residual, nn.Sequential(*kept)])

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H / stride, W / stride) for x (B, in_channels, H, W)."""
        residual, shortcut = self.layers
        return F.relu(residual(x) + shortcut(x))


def _conv_relu(in_channels: int, channels: int, stride: int = 1, *, bias: bool = False) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())


class ResNet8TwoExits(EarlyExit):
    """ResNet8 with one early exit (biggsbenjamin/earlyexitnet, resnet8_2ee); official key names.

    The early exit answers where its largest softmax probability is above the threshold.

    Args:
        thresholds: Probabilities, see `EarlyExit`.
        num_classes: Width of the logits.
        width: Channels of the first stage.
    """

    released = (0.8,)
    low_is_confident = False

    def __init__(self, thresholds: Thresholds = RELEASED, num_classes: int = 10, width: int = 16) -> None:
        super().__init__(thresholds)
        narrow, middle, wide = width, 2 * width, 4 * width
        self.init_conv = _conv_relu(3, narrow, bias=True)
        blocks = PlainBlock(narrow, narrow, 1), PlainBlock(narrow, middle, 2), PlainBlock(middle, wide, 2)
        self.backbone = nn.ModuleList(blocks)
        self.end_layers = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(wide, num_classes))
        early = nn.Sequential(
            OrderedDict(
                conv1=nn.Sequential(OrderedDict(conv=_conv_relu(narrow, middle, 2))),
                conv2=nn.Sequential(OrderedDict(conv=_conv_relu(middle, middle, 2))),
                pool=nn.AvgPool2d(2),
                linear=nn.Sequential(nn.Flatten(), nn.Linear(16 * middle, num_classes)),
            )
        )
        self.exits = nn.ModuleList([early, self.end_layers])  # the official keys list the last exit twice
        self.stages = [(["init_conv"], "exits.0"), ([f"backbone.{index}" for index in range(3)], "exits.1")]

    def confidence(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=-1).amax(dim=-1)


class Cascade(EarlyExit):
    """Whole networks as stages: the next one runs only for images that the one before is not confident about.

    Args:
        networks: From the cheapest to the most expensive, each from images to logits; at least two.
        thresholds: Probabilities, see `EarlyExit`.
    """

    low_is_confident = False

    def __init__(self, networks: Sequence[nn.Module], thresholds: Thresholds = RELEASED) -> None:
        self.released = (0.9,) * (len(networks) - 1)
        super().__init__(thresholds)
        self.networks = nn.ModuleList(networks)
        self.stages = [([], f"networks.{index}") for index in range(len(networks))]

    def confidence(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=-1).amax(dim=-1)


def cascade(thresholds: Thresholds = RELEASED) -> ImageVictim:
    """Return the static networks of 20, 32 and 56 layers for CIFAR-10 as a cascade."""
    depths = (20, 32, 56)
    victim = ImageVictim(Cascade([ResNetCIFAR(depth) for depth in depths], thresholds), IMAGENET_MEAN, IMAGENET_STD)
    victim.parts = {f"networks.{index}.": f"resnet{depth}-*.th" for index, depth in enumerate(depths)}
    return victim


def rdi_resnet38(thresholds: Thresholds = RELEASED) -> ImageVictim:
    """Return the adversarially trained network of 7 exits for CIFAR-10."""
    return ImageVictim(RDIResNet(thresholds), (0.0,) * 3, (1.0,) * 3)


def resnet8_2ee(thresholds: Thresholds = RELEASED) -> ImageVictim:
    """Return the undefended network of 2 exits for CIFAR-10."""
    return ImageVictim(ResNet8TwoExits(thresholds), (0.0,) * 3, (1.0,) * 3)
