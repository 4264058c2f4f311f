"""The base of all victims: a network with the official keys, the identity of its weights, and training."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lgm_bench.errors import ConfigError
from victims.training.objectives import OBJECTIVES
from victims.training.recipe import Recipe


class Victim(pl.LightningModule):
    """A network to attack.

    Args:
        network: The network; its state dict has the official keys.

    Attributes:
        task: Name of its task, see `lgm_bench.tasks.TASKS`.
        parts: For a victim of several published networks: prefix of the keys to the pattern of the file with them.
        decided: What its units decided over the held-out samples, after the last epoch of a training run.
        checkpoint_id: Identity of the weights: the checkpoint's sha256, "random-SEED", or "unsaved".
    """

    task: str = "images"
    checkpoint_id: str = "unsaved"
    parts: Mapping[str, str] = {}

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.decided: dict[str, Any] = {}

    def official_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert a published state dict to the layout of `network`."""
        return dict(state)

    def configure_training(self, recipe: Recipe) -> None:
        """Prepare the victim for `Trainer.fit` with a recipe.

        Raises:
            ConfigError: The recipe's objective, or its adversarial training, does not suit the network.
        """
        if recipe.adversarial is not None and self.task != "images":
            raise ConfigError(
                f"adversarial training is for image classifiers, and this {type(self).__name__} takes point clouds; "
                "leave adversarial out"
            )
        self.recipe = recipe
        self.objective = OBJECTIVES[recipe.objective](recipe)
        self.objective.prepare(self)

    def configure_optimizers(self) -> Any:
        """Return the optimizer (SGD with Nesterov momentum, or AdamW) and a one-cycle schedule, stepped per batch."""
        recipe = self.recipe
        optimizer = _optimizer(recipe, self.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            recipe.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=recipe.warmup,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def epoch_at(self, batch_index: int) -> float:
        """Return the number of epochs done so far, including the fraction of the current one."""
        return self.current_epoch + batch_index / max(int(self.trainer.num_training_batches), 1)


def _optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay)
    return torch.optim.SGD(parameters, rate, recipe.momentum, weight_decay=decay, nesterov=recipe.momentum > 0)
