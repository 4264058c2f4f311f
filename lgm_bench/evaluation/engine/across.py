"""A task's figures over the rows of all processes."""

import warnings

import pyarrow as pa
import torch
import torchmetrics
from torch import Tensor

from lgm_bench.tasks.base import Task
from lgm_bench.tasks.metric import Metric


class FigureOfRows(torchmetrics.Metric):
    """A figure of rows; the sum of what they contribute is its only state.

    The state has its size from the start, so that a process without any sample can be merged with the others.

    Args:
        metric: What is measured.
        num_classes: Of the victim; 0 where no figure needs it.
    """

    full_state_update = False
    is_differentiable = False
    sums: Tensor

    def __init__(self, metric: Metric, num_classes: int = 0) -> None:
        super().__init__()
        self.metric = metric
        size = 2 * num_classes if metric.per_class else 2
        self.add_state("sums", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, rows: pa.Table) -> None:
        """Add rows of the metric's task."""
        self.sums += torch.from_numpy(self.metric.parts(rows).sum(axis=0)).to(self.sums)

    def compute(self) -> Tensor:
        """Return the figure, float64; NaN where there is none."""
        return torch.tensor(float(self.metric.value(self.sums.cpu().numpy())), dtype=torch.float64)


def figures_across(task: type[Task], num_classes: int = 0) -> torchmetrics.MetricCollection:
    """Return all figures of a task, by name; see `FigureOfRows`."""
    figures: dict[str, torchmetrics.Metric | torchmetrics.MetricCollection] = {
        metric.name: FigureOfRows(metric, num_classes) for metric in task.metrics
    }
    return torchmetrics.MetricCollection(figures, compute_groups=False)


def merged_figures(figures: torchmetrics.MetricCollection) -> dict[str, float]:
    """Return the figures that have a value, over the rows of all processes, all of which have to call this."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*compute.* method of metric .* was called before", UserWarning)
        return {name: value.item() for name, value in figures.compute().items() if not value.isnan()}
