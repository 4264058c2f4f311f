"""The published static ResNet-32 on real images."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torchvision.datasets import CIFAR10

from victims import import_checkpoint, load_victim
from victims.checkpoints import user_store


@pytest.fixture(scope="module")
def images(samples: Path) -> tuple[torch.Tensor, torch.Tensor]:
    data = CIFAR10(samples / "data" / "cifar10", train=False)
    pixels = torch.from_numpy(data.data[:200]).permute(0, 3, 1, 2)
    return pixels.float() / 255, torch.tensor(data.targets[:200])


def oracle(state: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """ResNet-32 straight from the file's tensors, functionally."""

    def normed(x: torch.Tensor, key: str) -> torch.Tensor:
        values = (state[f"module.{key}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *values)

    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    x = F.relu(normed(F.conv2d(x, state["module.conv1.weight"], padding=1), "bn1"))
    for group, width in ((1, 16), (2, 32), (3, 64)):
        for block in range(5):
            key = f"layer{group}.{block}"
            stride = 2 if group > 1 and block == 0 else 1
            skip = x if stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, width // 4, width // 4))
            x = F.conv2d(x, state[f"module.{key}.conv1.weight"], stride=stride, padding=1)
            x = F.conv2d(F.relu(normed(x, f"{key}.bn1")), state[f"module.{key}.conv2.weight"], padding=1)
            x = F.relu(normed(x, f"{key}.bn2") + skip)
    return F.linear(x.mean(dim=(2, 3)), state["module.linear.weight"], state["module.linear.bias"])


@torch.no_grad()
def test_logits_of_real_images(samples: Path, images) -> None:
    path = samples / "weights" / "resnet32-d509ac18.th"
    expected = oracle(torch.load(path, map_location="cpu", weights_only=True)["state_dict"], images[0][:8])
    assert torch.allclose(load_victim("resnet32-cifar10", path)(images[0][:8]), expected, atol=1e-4)


@torch.no_grad()
def test_the_store_keeps_the_predictions(samples: Path, images) -> None:
    path = samples / "weights" / "resnet32-d509ac18.th"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    import_checkpoint("resnet32-cifar10", path)
    assert "akamaster" in user_store().ready("resnet32-cifar10").source
    predicted = load_victim("resnet32-cifar10")(images[0]).argmax(1)
    assert torch.equal(predicted, oracle(state, images[0]).argmax(1))
    assert (predicted == images[1]).float().mean() > 0.9
