"""Vision transformers that drop tokens: EViT (Liang et al. 2022) and, with halting tokens, A-ViT (Yin et al. 2022).

Both are sized for images of 32 x 32 pixels. A small convolutional stem makes the tokens, since transformers without
one need far longer training.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from lgm_bench.leaded import Halting, TopK
from lgm_bench.leaded.compute import Controls, Tokens

CLASS_TOKEN = 1


class WeightedTokens(nn.Module):
    """The part of attention whose cost is that of pairs of tokens: each token takes a mean over all present tokens."""

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means (B, heads, T, D), and how much the first token attends to each other one, (B, T - 1).

        Args:
            queries: (B, heads, T, D).
            keys: The same.
            values: The same.
            present: Occupancies (B, T), by which the attention to each token is multiplied.
        """
        weights = (queries * queries.shape[-1] ** -0.5 @ keys.transpose(-2, -1)).softmax(dim=-1)
        counted = torch.cat([values, torch.ones_like(values[..., :1])], dim=-1) * present[:, None, :, None]
        sums = weights @ counted  # dividing by the last column makes the weights of the present tokens sum to 1
        attention = weights[:, :, 0] * present[:, None] / sums[:, :, :1, -1]
        return sums[..., :-1] / sums[..., -1:], attention[..., CLASS_TOKEN:].mean(dim=1)


class Attention(nn.Module):
    """Multi-head self-attention among the tokens that are present."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.pairs = WeightedTokens()

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output (B, T, C) for tokens (B, T, C), and the class token's attention, see `WeightedTokens`."""
        queries, keys, values = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        means, attention = self.pairs(queries, keys, values, present)
        return self.proj(means.transpose(1, 2).flatten(2)), attention


class Block(nn.Module):
    """Attention and two linear layers, each beside a shortcut: x + o * update(x) for every token.

    Args:
        width: Channels of a token.
        heads: Heads of the attention.
        keep: How many tokens are kept after the attention; None: all that arrive.
    """

    def __init__(self, width: int, heads: int, keep: int | None = None) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.kept = None if keep is None else TopK(keep)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens (B, 1 + N, C), the first of them the class token, and which are present, (B, N)."""
        x, attention = self.attended(x, present)
        if self.kept is not None:
            present = self.kept(attention, present)
        return x + with_class_token(present)[..., None] * self.mlp(self.norm2(x)), present

    def attended(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens after the attention, and how much the class token attends to each, (B, N)."""
        occupancy = with_class_token(present)
        update, attention = self.attention(self.norm1(x), occupancy)
        return x + occupancy[..., None] * update, attention


def with_class_token(present: Tensor) -> Tensor:
    """Return (B, 1 + N) for (B, N): the class token is always present."""
    return torch.cat([torch.ones_like(present[:, :CLASS_TOKEN]), present], dim=1)


class VisionTransformer(nn.Module):
    """Convolutional stem, blocks, and a linear layer on the class token.

    Args:
        blocks: The blocks.
        width: Channels of a token.
        stem: Channels of the stem's layers; all but the first halve the size of the image.
        size: Height and width of the images, in pixels.
        num_classes: Number of logits.
    """

    def __init__(
        self, blocks: Sequence[Block], width: int, stem: Sequence[int], size: int = 32, num_classes: int = 10
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip([3, *stem], [*stem, width], strict=True)):
            stride = 2 if index else 1
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.stem = nn.Sequential(*layers[:-1])
        n_tokens = (size // 2 ** len(stem)) ** 2
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, CLASS_TOKEN + n_tokens, width))
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def embedded(self, images: Tensor) -> Tensor:
        """Return the tokens (B, 1 + N, C) of normalized images (B, 3, H, W)."""
        tokens = self.stem(images).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(len(images), -1, -1), tokens], dim=1) + self.positions

    def answer(self, x: Tensor) -> Tensor:
        """Return the logits (B, classes), which depend on the class token alone."""
        logits: Tensor = self.head(self.norm(x[:, 0]))
        return logits


class EViT(VisionTransformer):
    """Some blocks keep only the tokens to which the class token attends most (Liang et al. 2022, Sec. 3.2).

    The published network fuses the others to one token; here they are dropped.

    Args:
        depth: Number of blocks.
        keep: Number of tokens that are kept, by the index of the block that drops the others.
        width: Channels of a token.
        heads: Heads of the attention.
        stem: See `VisionTransformer`.
    """

    def __init__(self, depth: int, keep: Mapping[int, int], width: int, heads: int, stem: Sequence[int]) -> None:
        super().__init__([Block(width, heads, keep.get(index)) for index in range(depth)], width, stem)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) for normalized images (B, 3, 32, 32)."""
        x = self.embedded(images)
        present = torch.ones_like(x[:, CLASS_TOKEN:, 0])
        for block in self.blocks:
            x, present = block(x, present)
        return self.answer(x)

    @torch.no_grad()
    def deployed(self, images: Tensor) -> Tensor:
        """Return the hard network's logits, with only the kept tokens in memory; their number is that of all images."""
        x = self.embedded(images)
        for block in self.blocks:
            everything = torch.ones_like(x[:, CLASS_TOKEN:, 0])
            x, attention = block.attended(x, everything)
            if block.kept is not None:
                x = gathered(x, block.kept(attention))
            x = x + block.mlp(block.norm2(x))
        return self.answer(x)

    def controls(self) -> Controls:
        """Return what runs for the tokens that a gate keeps: the rest of its block, and what follows up to the next."""
        starts = [index for index, block in enumerate(self.blocks) if block.kept is not None]
        gates = {}
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            attentions = range(start + 1, len(self.blocks) if end is None else end + 1)
            mlps = range(start, len(self.blocks) if end is None else end)
            gates[f"blocks.{start}.kept"] = run_for_tokens(attentions, mlps)
        return Controls(gates)


class AViT(VisionTransformer):
    """Every token adds up halting scores from block to block and stops at 1 - eps (Yin et al. 2022, Eq. 4-9).

    The class token never halts here. In the publication it may, and its outputs are averaged over the blocks.

    Args:
        depth: Number of blocks.
        width: Channels of a token; the first one makes the halting score.
        heads: Heads of the attention.
        stem: See `VisionTransformer`.
    """

    scale, shift = 5.0, -10.0

    def __init__(self, depth: int, width: int, heads: int, stem: Sequence[int]) -> None:
        super().__init__([Block(width, heads) for _ in range(depth)], width, stem)
        self.running = nn.ModuleList([Halting() for _ in range(depth - 1)])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes) for normalized images (B, 3, 32, 32)."""
        x = self.embedded(images)
        present = torch.ones_like(x[:, CLASS_TOKEN:, 0])
        total = torch.zeros_like(present)
        for block, running in zip(self.blocks, [*self.running, None], strict=True):
            x, present = block(x, present)
            if running is not None:
                total = total + self.halting_score(x)
                present = running(total, present)
        return self.answer(x)

    def halting_score(self, x: Tensor) -> Tensor:
        """Return what each token adds in a block, (B, N) in (0, 1), for tokens (B, 1 + N, C)."""
        return torch.sigmoid(self.scale * x[:, CLASS_TOKEN:, 0] + self.shift)

    @torch.no_grad()
    def deployed(self, images: Tensor) -> Tensor:
        """Return the hard network's logits, image by image, without the tokens that have halted."""
        return torch.cat([self._deployed(image[None]) for image in images])

    def _deployed(self, image: Tensor) -> Tensor:
        x = self.embedded(image)
        total = torch.zeros_like(x[:, CLASS_TOKEN:, 0])
        for block, running in zip(self.blocks, [*self.running, None], strict=True):
            x, _ = block(x, torch.ones_like(total))
            if running is not None:
                total = total + self.halting_score(x)
                kept = running(total)
                x, total = gathered(x, kept), total[kept > 0][None]
        return self.answer(x)

    def controls(self) -> Controls:
        """Return the next block, which runs for the tokens that go on."""
        blocks = range(len(self.running))
        return Controls({f"running.{index}": run_for_tokens([index + 1], [index + 1]) for index in blocks})


def gathered(x: Tensor, kept: Tensor) -> Tensor:
    """Return the class token and the kept ones of tokens (B, 1 + N, C); of every image as many are kept, (B, N)."""
    return x[with_class_token(kept) > 0].unflatten(0, (len(x), -1))


def run_for_tokens(attentions: Iterable[int], mlps: Iterable[int]) -> Tokens:
    """Return the parts of some blocks that run for a gate's tokens."""
    names = [f"blocks.{index}.attention" for index in attentions]
    each = [f"{name}.{part}" for name in names for part in ("qkv", "proj")]
    return Tokens([*each, *(f"blocks.{index}.mlp" for index in mlps)], [f"{name}.pairs" for name in names], CLASS_TOKEN)
