"""A generated room, attacked and drawn: `python examples/point_cloud.py` writes point_cloud.png.

A small MinkUNet labels the points of a room. Point-BIM moves each point by at most 2 cm along each axis, once by the
plain gradient (FGM) and once by the leaded one (LGM). Without slopes of its own FGM would move nothing here, since the
network only sees colours; as in the paper's runs, it has one on the way in and one on the way out. The picture shows
the room from above: the labels, and what the network predicts before and after.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

from datamodules import load_datamodule
from lgm_bench import FGM, LGM
from lgm_bench.attacks import PointBIM
from lgm_bench.voxels import VoxelSlopes
from victims import load_victim

EPS, STEPS = 0.02, 6


def main(path: Path = Path("point_cloud.png")) -> dict[str, float]:
    """Draw the room, and print and return the share of points that are labelled rightly."""
    victim, data = load_victim("minkunet-scannet-mini"), load_datamodule("scannet-mini", batch_size=1, limit=1)
    data.setup("test")
    cloud, labels, _ = next(iter(data.test_dataloader()))
    attack = PointBIM(eps=EPS, step=EPS / 2, steps=STEPS)
    clouds = {"clean": cloud.points}
    for gradient in (FGM(VoxelSlopes(input=20.0, output=20.0)), LGM(slope=10.0)):
        clouds[gradient.name] = attack.attack(victim, cloud, labels, gradient=gradient).adversarial
    with torch.no_grad():
        predicted = {name: victim(cloud._replace(points=points)).argmax(1) for name, points in clouds.items()}
    counted = labels < len(data.class_names)
    right = {name: (labels == seen)[counted].double().mean().item() for name, seen in predicted.items()}
    for name, share in right.items():
        moved = (clouds[name] - cloud.points).abs().amax().item()
        print(f"{name:6} {share:6.1%} of the points are labelled rightly; moved by at most {1000 * moved:.1f} mm")
    panels = {"labels": (cloud.points, labels)}
    panels |= {f"{name}: {right[name]:.0%} right": (clouds[name], predicted[name]) for name in clouds}
    draw(path, panels)
    return right


def draw(path: Path, panels: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Draw points from above, coloured by class; what lies higher hides what lies lower."""
    figure = Figure(figsize=(4 * len(panels), 4), layout="constrained")
    for axis, (title, (points, classes)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        order = np.argsort(points[:, 2].numpy())
        x, y = points[order, :2].T.numpy()
        colours = colormaps["tab20"](classes[order].numpy() % 20)
        axis.scatter(x, y, c=colours, s=3, linewidths=0)
        axis.set_title(title)
        axis.set_aspect("equal")
        axis.set_axis_off()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("point_cloud.png"))
