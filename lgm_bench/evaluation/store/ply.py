"""Point clouds as .ply files that viewers show, coloured by class."""

import colorsys
import io
from collections.abc import Sequence

import numpy as np
import plyfile
from torch import Tensor

_GOLDEN_TURN = 0.618033988749895  # of the colour circle; neighbouring classes lie far apart on it


def colour(class_index: int) -> tuple[int, int, int]:
    """Return the red, green and blue of a class, each 0 to 255."""
    bright = 0.95 if class_index % 2 == 0 else 0.65
    red, green, blue = colorsys.hsv_to_rgb(class_index * _GOLDEN_TURN % 1, 0.75, bright)
    return round(255 * red), round(255 * green), round(255 * blue)


def coloured_ply(name: str, points: Tensor, prediction: Tensor, labels: Tensor, class_names: Sequence[str]) -> bytes:
    """Return an attacked cloud as the content of a .ply, coloured by prediction; comments name the colours.

    Args:
        name: Of the sample.
        points: (N, 3) metres.
        prediction: (N,) or (1,) int64.
        labels: The same.
        class_names: Of the classes, as many as are known.
    """
    places, classes, truth = (value.detach().cpu().numpy() for value in (points, prediction, labels))
    columns = [("x", "f4"), ("y", "f4"), ("z", "f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    vertices = np.zeros(len(places), [*columns, ("prediction", "u2"), ("label", "u2")])
    for axis, coordinate in enumerate("xyz"):
        vertices[coordinate] = places[:, axis]
    present = np.unique(classes).tolist()
    palette = np.zeros((max(present) + 1, 3), np.uint8)
    palette[present] = [colour(index) for index in present]
    for channel, coloured in enumerate(("red", "green", "blue")):
        vertices[coloured] = palette[classes, channel]
    vertices["prediction"], vertices["label"] = classes, truth
    names = {index: class_names[index] if index < len(class_names) else f"class {index}" for index in present}
    comments = [f"prediction {index} {names[index]}: {' '.join(map(str, palette[index]))}" for index in present]
    stream = io.BytesIO()
    element = plyfile.PlyElement.describe(vertices, "vertex")
    plyfile.PlyData([element], byte_order="<", comments=[f"attacked {name}", *comments]).write(stream)
    return stream.getvalue()
