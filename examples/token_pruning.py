"""A timm ViT that drops image patches, trained on digits and attacked: `python examples/token_pruning.py`.

timm's source stays as it is: a wrapper runs its blocks and puts a `TopK` gate before the third. A mask hides the tokens
that are not kept from the attention, smoothly under a leaded gradient.
"""

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules import load_datamodule
from lgm_bench import FGM, LGM, Soft, StraightThrough, TopK, architecture
from lgm_bench.attacks import BIM

EPS = 4 / 255
HIDDEN = 1e-6  # the weight of a dropped token in the attention


class PrunedViT(nn.Module):
    """A timm ViT of four blocks that keeps the `kept` patches with the highest scores after the second block."""

    def __init__(self, kept: int = 8) -> None:
        super().__init__()
        self.vit = timm.create_model(
            "vit_tiny_patch16_224",
            **{"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 4, "num_heads": 3, "num_classes": 10},
        )
        self.score = nn.Linear(48, 1)
        self.keep = TopK(kept)

    def forward(self, x: Tensor) -> Tensor:
        vit = self.vit
        x = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(x))))  # (B, 1 + 16, 48)
        for block in vit.blocks[:2]:
            x = block(x)
        kept = self.keep(self.score(x[:, 1:]).squeeze(2))  # (B, 16)
        kept = F.pad(kept, (1, 0), value=1.0)  # the class token always stays
        mask = kept.clamp(min=HIDDEN).log()[:, None, None, :]  # added to the attention's logits
        for block in vit.blocks[2:]:
            x = block(x, attn_mask=mask)
        return vit.forward_head(vit.norm(x))


def trained(steps: int = 400) -> PrunedViT:
    """Return a trained network; a straight-through gradient lets its gate learn too."""
    torch.manual_seed(0)
    network, data = PrunedViT(), load_datamodule("digits", batch_size=1000)
    data.setup("fit")
    images, labels, _ = next(iter(data.train_dataloader()))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    for _ in range(steps):
        batch = torch.randint(len(images), (64,))
        with StraightThrough(slope=2.0).applied_to(network):
            loss = F.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def main() -> dict[str, tuple[float, float]]:
    """Print and return, per gradient, the accuracy left and the share of the kept tokens that were exchanged."""
    network, data = trained(), load_datamodule("digits", batch_size=200, limit=200)
    data.setup("test")
    images, labels, _ = next(iter(data.test_dataloader()))
    (clean,) = architecture(network, images)
    attack = BIM(eps=EPS, step=EPS / 4, steps=10)
    attacked = {"clean": images}
    for gradient in (FGM(), LGM(), Soft(), StraightThrough()):
        attacked[gradient.name] = attack.perturb(network, images, labels, gradient=gradient)
    results = {}
    for name, inputs in attacked.items():
        accuracy = (network(inputs).argmax(1) == labels).double().mean().item()
        (kept,) = architecture(network, inputs)
        exchanged = ((kept & ~clean).sum() / clean.sum()).item()
        results[name] = accuracy, exchanged
        print(f"{name:16} {accuracy:6.1%} right; {exchanged:.0%} of the kept tokens exchanged")
    return results


if __name__ == "__main__":
    main()
