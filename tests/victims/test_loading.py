"""load_victim: randomness, normalization, networks of one's own."""

import pytest
import torch
from torch import Tensor, nn

from lgm_bench.errors import CheckpointError, ConfigError
from victims import checkpoint_id, import_checkpoint, load_victim, save_checkpoint
from victims.image_victim import ImageVictim


class Own(nn.Module):
    """A user's network."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean(dim=(2, 3)))


class OwnVictim(ImageVictim):
    """A user's victim with a normalization of its own."""

    def __init__(self) -> None:
        super().__init__(Own(), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


OWN = f"{__name__}:Own"


def test_random_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(123)
    a = load_victim("dynconv8-cifar10", "random", seed=7)
    torch.manual_seed(456)
    b = load_victim("dynconv8-cifar10", "random", seed=7)
    c = load_victim("dynconv8-cifar10", "random", seed=8)
    assert torch.equal(a.network.conv1.weight, b.network.conv1.weight)
    assert not torch.equal(a.network.conv1.weight, c.network.conv1.weight)
    assert (a.checkpoint_id, c.checkpoint_id) == ("random-7", "random-8")


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_victim("skipnet20-cifar10", "random", seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_cifar_resnets_default_to_imagenet_normalization() -> None:
    assert torch.equal(load_victim("resnet20-cifar10", "random").mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    assert torch.equal(load_victim("skipnet20-cifar10", "random").std.flatten(), torch.tensor([0.2023, 0.1994, 0.2010]))


def test_normalization_is_inside() -> None:
    victim = load_victim("resnet20-cifar10", "random", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    images = torch.rand(2, 3, 32, 32)
    normalized = (images - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    assert torch.allclose(victim(images), victim.network(normalized), atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"mean": (0.1, 0.2)},
        {"std": (0.1, 0.2, 0.0)},
        {"std": (0.1, 0.2, -1)},
        {"mean": (0.1, 0.2, float("nan"))},
        {"std": (1, 1, float("inf"))},
    ],
)
def test_senseless_normalization(options: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ConfigError, match="must be one number or 3"):
        load_victim("resnet20-cifar10", "random", **options)


class Grey(nn.Module):
    """A network of images of one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_a_network_of_one_channel_takes_one_mean_and_not_three() -> None:
    images = torch.rand(2, 1, 8, 8)
    grey = Grey()
    expected = grey((images - 0.5) / 0.2)
    torch.testing.assert_close(ImageVictim(grey, (0.5,), (0.2,))(images), expected)
    with pytest.raises(ConfigError, match=r"a victim with 3 means cannot normalize images with 1 channel; give it one"):
        ImageVictim(grey, (0.5,) * 3, (0.2,) * 3)(images)


def test_one_mean_for_all_channels() -> None:
    images = torch.rand(2, 3, 32, 32)
    victim = load_victim("resnet20-cifar10", "random", mean=(0.1,), std=(0.5,))
    torch.testing.assert_close(victim(images), victim.network((images - 0.1) / 0.5))


def test_grey_images_are_repeated_for_a_network_of_three_channels_and_that_is_logged_once(caplog) -> None:
    images = torch.rand(2, 1, 32, 32)
    victim = load_victim("resnet20-cifar10", "random")
    assert torch.equal(victim(images), victim(images.repeat(1, 3, 1, 1)))
    victim(images)
    assert caplog.text.count("grey images are repeated for the 3 channels") == 1


def test_a_plain_network_names_the_channels_that_it_takes() -> None:
    victim = ImageVictim(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), (0.0,), (1.0,))
    with pytest.raises(ConfigError, match=r"takes images with 3 channels, but these have 1; .*grey images are then"):
        victim(torch.rand(2, 1, 8, 8))
    with pytest.raises(ConfigError, match=r"takes images with 3 channels, but these have 5; use data with 3$"):
        victim(torch.rand(2, 5, 8, 8))


def test_own_network_gets_images_as_they_are() -> None:
    victim = load_victim(OWN)
    images = torch.rand(2, 3, 8, 8)
    assert isinstance(victim, ImageVictim)
    assert torch.equal(victim(images), victim.network(images))
    assert not victim.training
    assert torch.equal(victim.network.fc.weight, load_victim(OWN).network.fc.weight)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_own_network_may_take_any_number_of_channels(channels: int) -> None:
    victim = load_victim(f"{__name__}:AnyChannels")
    images = torch.rand(3, channels, 4, 4)
    assert torch.equal(victim(images), victim.network(images))
    means, stds = [0.1 * (number + 1) for number in range(channels)], [0.5] * channels
    normalized = load_victim(f"{__name__}:AnyChannels", mean=means, std=stds)
    assert torch.allclose(normalized(images), victim.network((images - torch.tensor(means)[:, None, None]) / 0.5))


class AnyChannels(nn.Module):
    """Two classes by the brightness."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.mean((1, 2, 3))
        return torch.stack([bright, 1 - bright], dim=1)


def test_own_victim_is_taken_as_it_is() -> None:
    victim = load_victim(f"{__name__}:OwnVictim")
    assert isinstance(victim, OwnVictim)
    assert victim.std.flatten().tolist() == [0.25] * 3


def test_own_network_from_a_file(tmp_path) -> None:
    own = load_victim(OWN, "random", seed=4)
    torch.save(own.network.state_dict(), tmp_path / "own.pth")
    loaded = load_victim(OWN, tmp_path / "own.pth")
    assert torch.equal(loaded.network.fc.weight, own.network.fc.weight)
    assert loaded.checkpoint_id == checkpoint_id(OWN, tmp_path / "own.pth")
    path = save_checkpoint(OWN, own, source="test", out=tmp_path / "elsewhere")
    assert torch.equal(load_victim(OWN, path).network.fc.weight, own.network.fc.weight)
    with pytest.raises(CheckpointError, match="does not fit"):
        load_victim("resnet20-cifar10", tmp_path / "own.pth")


def test_own_network_is_used_as_imported(tmp_path) -> None:
    """Constructed as it is until then; `import` says that the imported weights are used from then on."""
    own = load_victim(OWN, "random", seed=4)
    torch.save(own.network.state_dict(), tmp_path / "own.pth")
    assert not torch.equal(load_victim(OWN).network.fc.weight, own.network.fc.weight)
    path = import_checkpoint(OWN, tmp_path / "own.pth")
    loaded = load_victim(OWN)
    assert torch.equal(loaded.network.fc.weight, own.network.fc.weight)
    assert loaded.checkpoint_id == checkpoint_id(OWN) == checkpoint_id(OWN, path)
    assert not torch.equal(load_victim(OWN, "random").network.fc.weight, own.network.fc.weight)
