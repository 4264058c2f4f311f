"""Point clouds that are classified as a whole."""

from dataclasses import replace

from lgm_bench.tasks.base import Task
from lgm_bench.tasks.images import ACCURACY, CLASSIFIED, CLEAN_ACCURACY, SUCCESS_RATE
from lgm_bench.tasks.metric import ARCHITECTURE_CHANGE, COST, EXECUTED, Tolerance

CHANGE_OF_VOXELS = replace(ARCHITECTURE_CHANGE, tolerance=Tolerance(0.1))
"""Rounding may choose another iterate to keep, whose voxels are others."""


class ShapeClassification(Task):
    """A shape counts as attacked if the hard network is right about it; its architecture is which voxels there are."""

    name = "classification"
    adapter = "lgm_bench.tasks.clouds:Shapes"
    inputs, sample, unit_of_eps = "points", "shape", "radii"
    columns = CLASSIFIED
    metrics = (CLEAN_ACCURACY, ACCURACY, SUCCESS_RATE, CHANGE_OF_VOXELS, *EXECUTED, *COST)
    main = "accuracy"
