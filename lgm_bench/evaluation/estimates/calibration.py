"""How fast this machine computes, measured with a few gradients of small untrained networks."""

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lgm_bench.evaluation.estimates.estimate import LARGE_IMAGES, POINTS, SMALL_IMAGES
from lgm_bench.evaluation.estimates.flops import image_pass
from lgm_bench.sparse.cost import counted_cost
from lgm_bench.voxels import PointCloud
from victims import load_victim

SECONDS = 0.5
"""How long each kind is measured, after a first pass to warm up."""

IMAGES = {
    SMALL_IMAGES: ("resnet32-cifar10", "cifar10", 32, 32),
    LARGE_IMAGES: ("resnet18-imagenet", "imagenet", 224, 2),
}
"""Network, data set, pixels along an edge and batch size, by kind of images."""

SCENES, WALL_POINTS = "minkunet14-scannet", 20_000


@cache
def gflops_per_second(kind: str, device: torch.device) -> float:
    """Return the GFLOPs per second of forward and backward passes, counted as in `Estimate`.

    Args:
        kind: One of `estimate.KINDS`.
        device: Where to measure.
    """
    if kind == POINTS:
        step, gflops = _scene_pass(device)
    else:
        name, data, side, batch = IMAGES[kind]
        victim = load_victim(name, "random").requires_grad_(False).to(device, memory_format=torch.channels_last)
        images = torch.rand(batch, 3, side, side, device=device)
        once = image_pass(name, data)
        gflops = batch * once.gflops if once else 0.0
        step = _gradient(victim, images)
    return gflops / _seconds(step, device)


def _scene_pass(device: torch.device) -> tuple[Callable[[], None], float]:
    """Return a gradient through a cloud of two walls and a floor, 4 m long, and its GFLOPs."""
    generator = torch.Generator().manual_seed(0)
    points = 4 * torch.rand(WALL_POINTS, 3, generator=generator)
    points[torch.arange(WALL_POINTS), torch.arange(WALL_POINTS) % 3] = 0
    colours, scene = torch.rand(WALL_POINTS, 3, generator=generator), torch.zeros(WALL_POINTS, dtype=torch.int64)
    cloud = PointCloud(points, colours, scene).to(device)
    victim = load_victim(SCENES, "random").requires_grad_(False).to(device)
    with torch.no_grad(), counted_cost() as cost:
        victim(cloud)

    def scored(moved: Tensor) -> Tensor:
        logits: Tensor = victim(cloud._replace(features=moved))
        return logits

    return _gradient(scored, cloud.features), 2 * cost.gflops


def _gradient(network: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    x = x.detach().requires_grad_()

    def step() -> None:
        torch.autograd.grad(network(x).sum(), x)

    return step


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    """Return the time of one step."""
    step()
    _wait(device)
    start, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - start < SECONDS:
        step()
        _wait(device)
        steps += 1
    return (time.perf_counter() - start) / steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
