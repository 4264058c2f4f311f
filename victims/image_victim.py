"""The base of all image classifiers: it normalizes raw images, and has the training steps."""

import logging
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.recording import hard_units
from victims.training.adversarial import perturbed
from victims.training.decided import Decided
from victims.training.recipe import Recipe
from victims.victim import Victim

log = logging.getLogger(__name__)

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageVictim(Victim):
    """A classifier of raw images.

    Args:
        network: Maps normalized images (B, C, H, W) to logits (B, classes). Its state dict has the official keys.
        mean: Mean of each channel of the training images in [0, 1], or one mean for all channels.
        std: Standard deviation of each channel, or one for all channels.
    """

    mean: Tensor
    std: Tensor
    _repeats_grey = False

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(network)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) for images (B, C, H, W) in [0, 1].

        Raises:
            ConfigError: The network takes images with another number of channels.
        """
        if images.shape[1] != self.mean.numel() != 1:
            self._check_channels(images.shape[1])
        try:
            logits: Tensor = self.network((images - self.mean) / self.std)
        except RuntimeError as error:
            channels = re.search(r"to have (\d+) channels?, but got (\d+) channels? instead", str(error))
            if channels is None or int(channels[2]) != images.shape[1]:
                raise
            grey = ", or give the victim 3 means and stds: grey images are then repeated for its 3 channels"
            raise ConfigError(
                f"the network takes images with {channels[1]} channel{'s' * (channels[1] != '1')}, but these have "
                f"{channels[2]}; use data with {channels[1]}{grey * (channels.group(1, 2) == ('3', '1'))}"
            ) from error
        return logits

    def _check_channels(self, channels: int) -> None:
        """Raise ConfigError unless the images are grey and can be repeated for each channel; warn once if so."""
        first = next((module for module in self.network.modules() if isinstance(module, nn.Conv2d)), None)
        if channels != 1 or (first is not None and first.in_channels == 1):
            raise ConfigError(
                f"a victim with {self.mean.numel()} means cannot normalize images with {channels} "
                f"channel{'s' * (channels > 1)}; give it one mean and std for all channels, or one per channel"
            )
        if not self._repeats_grey:
            log.warning("grey images are repeated for the %d channels that the network takes", self.mean.numel())
        self._repeats_grey = True

    def configure_training(self, recipe: Recipe) -> None:
        super().configure_training(recipe)
        self.to(memory_format=torch.channels_last)

    def training_step(self, batch: tuple[Tensor, Tensor, list[str]], batch_index: int) -> Tensor:
        """Return the training loss of one batch."""
        images, labels, _ = batch
        if self.recipe.adversarial is not None:
            images = perturbed(self, images, labels, self.recipe.adversarial)
        loss, logs = self.objective.loss(self, images, labels, self.epoch_at(batch_index))
        figures = {"loss": loss.detach()} | logs
        self.log_dict(figures, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start the counts of what is decided."""
        self._decided = Decided()

    def validation_step(self, batch: tuple[Tensor, Tensor, list[str]], batch_index: int) -> None:  # noqa: ARG002
        """Log the accuracy of the hard network, and count its decisions."""
        images, labels, _ = batch
        logits, decisions = hard_units(self, images)
        correct = (logits.argmax(1) == labels).float().mean()
        self.log("accuracy", correct, prog_bar=True, batch_size=len(labels), sync_dist=True)
        self._decided.add(decisions)

    def on_validation_epoch_end(self) -> None:
        """Log the share of executed units, and of those that decide by the image; over this process's images."""
        self.decided = self._decided.figures()
        for name, value in self.decided.items():
            if isinstance(value, float):
                self.log(name, value, prog_bar=True, sync_dist=True)
