"""Gates put into networks that were written elsewhere: a vision transformer of timm, a ResNet of torchvision."""

import copy

import pytest
import torch
import torchvision
from torch import Tensor, nn

import lgm_bench
from lgm_bench import FGM, LGM, Gated, Leaded, TopK, architecture, instrument
from lgm_bench.attacks import FGSM
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import decision_costs
from lgm_bench.leaded.recording import hard_units


class Wavering(nn.Module):
    """A score of an image that is above and below 0 from one image to the next, with a phase that can be learned."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, x: Tensor) -> Tensor:
        return (99 * x.flatten(1).mean(dim=1) + self.level).sin() + self.level


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=10).eval()


def images() -> Tensor:
    return (
        torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        * torch.tensor([0.2, 1, 0.5, 1])[:, None, None, None]
    )


def test_blocks_of_a_resnet_are_skipped() -> None:
    network = resnet()
    gated = instrument(network, {"layer[12].1": Gated(Wavering(0.1), off="input")})
    logits, decisions = hard_units(gated, images())
    assert list(decisions) == ["layer1.1.lgm_gate", "layer2.1.lgm_gate"]
    assert {tuple(on.shape) for on in decisions.values()} == {(4,)}
    for image, expected, *on in zip(images(), logits, *decisions.values(), strict=True):
        by_hand = copy.deepcopy(network)
        for name, runs in zip(("layer1", "layer2"), on, strict=True):
            if not runs:
                by_hand.get_submodule(name)[1] = nn.Identity()
        assert torch.allclose(by_hand(image[None])[0], expected, atol=1e-5)
    assert len({tuple(row) for row in torch.stack(list(decisions.values()), dim=1).tolist()}) > 1
    assert architecture(network, images()) == [], "the network itself is as it was"


def test_keys_of_the_network_stay() -> None:
    network = resnet()
    gated = instrument(network, {"layer1.*": Gated(Wavering(0.1), off="input")})
    assert set(gated.state_dict()) - set(network.state_dict()) == {f"layer1.{k}.lgm_score.level" for k in (0, 1)}
    assert gated.load_state_dict(network.state_dict(), strict=False).unexpected_keys == []


def test_it_can_be_checked_attacked_and_its_compute_counted() -> None:
    gated = instrument(resnet(), {"layer1.*": Gated(Wavering(0.1), off="input")})
    found = lgm_bench.check(gated, images())
    assert found.problems == ()
    block = 2 * 9 * 64 * 64 * 8 * 8
    assert [unit.cost for unit in found.units] == [block, block]
    costs = decision_costs(gated, images()[:1])
    _, decisions = hard_units(gated, images())
    off = torch.stack(list(decisions.values())).logical_not().sum(dim=0)
    assert costs.of(decisions).tolist() == (costs.full - off * block).tolist()
    labels = torch.arange(4)
    by = {repr(method): FGSM(8 / 255).perturb(gated, images(), labels, gradient=method) for method in (FGM(), LGM(5.0))}
    assert not torch.equal(*by.values())
    assert Leaded(gated, LGM(5.0))(images()).shape == (4, 10)


def test_a_copy_uses_its_own_modules() -> None:
    gated = instrument(resnet(), {"layer1.1": Gated(Wavering(9.0), off="input")})
    other = copy.deepcopy(gated)
    other.get_submodule("layer1.1.lgm_score").level.data.fill_(-9.0)
    assert [bool(on.all()) for on in (architecture(gated, images())[0], architecture(other, images())[0])] == [
        True,
        False,
    ]


def test_attention_of_a_vision_transformer_by_image_and_by_token() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, num_classes=10, depth=3, embed_dim=24, num_heads=2
    ).eval()
    patterns = {
        "blocks.*.attn": lambda x: x.mean(dim=1)[:, :4].sum(dim=1),
        "blocks.*.mlp": Gated(lambda x: x[..., 0], TopK(5)),
    }
    gated = instrument(network, patterns)
    logits, decisions = hard_units(gated, images())
    assert sorted(decisions) == sorted(f"blocks.{k}.{part}.lgm_gate" for k in range(3) for part in ("attn", "mlp"))
    assert decisions["blocks.1.mlp.lgm_gate"].sum(dim=1).tolist() == [5] * 4
    found = lgm_bench.check(gated, images())
    assert [problem for problem in found.problems if "no decision" not in problem] == []
    tokens, width = 17, 24
    costs = {unit.name: unit.cost for unit in found.units}
    assert costs["blocks.0.mlp.lgm_gate"] == tokens * 2 * width * 4 * width
    assert costs["blocks.0.attn.lgm_gate"] >= tokens * 4 * width * width, "projections, and the attention itself"
    off = instrument(
        network, {"blocks.*.attn": lambda x: -x[:, 0, 0].abs() - 1, "blocks.*.mlp": lambda x: -x[:, 0, 0].abs() - 1}
    )
    tokens_only = network.head(
        network.fc_norm(
            network.norm(network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(images())))))
        )[:, 0]
    )
    assert torch.allclose(off(images()), tokens_only, atol=1e-5)
    assert logits.shape == (4, 10)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"blocks.*": Wavering(0.0)}, "'blocks.*' fits no module of this ResNet; it has conv1, bn1"),
        (
            {"layer1.*": Wavering(0.0), "layer1.0": Wavering(0.0)},
            "'layer1.0' fits 'layer1.0', which has a gate already",
        ),
    ],
)
def test_patterns_that_do_not_fit(patterns, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("*", r"\*")):
        instrument(resnet(), patterns)


def test_scores_that_do_not_fit() -> None:
    gated = instrument(resnet(), {"layer1.0": lambda x: x.mean(dim=(2, 3))[:, :3]})
    with pytest.raises(ConfigError, match=r"occupancies \(4, 3\) do not go with an output \(4, 64, 8, 8\)"):
        gated(images())
