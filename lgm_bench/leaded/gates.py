"""Gates: the places where an adaptive network decides what it computes.

Every gate turns scores into margins, whose sign is the hard decision. The gradient method in force makes an occupancy
of each margin, and the gate composes these. What it returns is 0 or 1 in the hard network, and the network multiplies
by it: f' = o(x) * Phi(f) (Tao et al. 2024, Eq. 4).

| gate | margin | composed occupancy | networks |
|---|---|---|---|
| `Occupancy` | q | o | SkipNet, DynConv |
| `Exit` | confidence_k - T_k | o_k = q_k * prod_{j<k} (1 - q_j) | BranchyNet, MSDNet, RDI-Nets, cascades |
| `TopK` | s_i - midpoint of the k-th and (k+1)-th score | o_i | DynamicViT, EViT, Mixture-of-Depths |
| `Choice` | s_i - best other score | softmax(slope * s) | mixtures of experts, DS-Net |
| `Halting` | (1 - eps) - cumulative halting score | product over steps | A-ViT, ACT |
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lgm_bench.errors import ConfigError
from lgm_bench.leaded.gradient import GradientMethod, Unit

PRESENT = 0.5
"""Soft occupancy from which on something is present."""


class Gate(Unit):
    """One kind of decision; without parameters or buffers, so checkpoints do not see it.

    Hard by default; a `GradientMethod` changes that from outside. A gate of your own overrides `hard` and whatever else
    differs from a threshold.

    Attributes:
        used: Whether the output of the network depends on the occupancies.
        chooses: "one" where exactly one of the last dimension is on, "some" where a fixed number of it is, such as
            tokens; empty where every decision stands alone.
    """

    used: bool = True
    chooses: str = ""

    def hard(self, score: Tensor) -> Tensor:
        """Return the decisions of the hard network by its own rule, bool, shape of `score`."""
        raise NotImplementedError

    def margin(self, score: Tensor) -> Tensor:
        """Return the margins, shape of `score`: positive where the decision is on, negative where it is off."""
        return score

    def softened(self, score: Tensor, method: GradientMethod, slope: float) -> Tensor:
        """Return the soft decisions in [0, 1], shape of `score`, before they are composed."""
        return method.softened(self.margin(score), slope)

    def composed(self, decided: Tensor) -> Tensor:
        """Return the occupancies that hard or soft decisions make together."""
        return decided

    def executed(self, occupancy: Tensor) -> Tensor:
        """Return, from composed occupancies (B, ...), how far what each decision controls is executed."""
        return occupancy

    def candidates(self, score: Tensor, present: Tensor | None) -> Tensor:  # noqa: ARG002
        """Return the scores as the rule compares them, where what is not `present` must not compete."""
        return score

    def forward(self, score: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the occupancies in [0, 1], of the dtype of `score`.

        Args:
            score: (B, ...), floating point.
            present: Occupancy that an earlier gate gave to what decides here, such as tokens, of a shape that goes
                with `score`. What is not present stays off. None: everything is present.
        """
        method, score = self.gradient, self.candidates(score, present)
        hard = self.composed(self.hard(score).to(score.dtype))
        if present is not None:
            hard = hard * (present.detach() >= PRESENT)
        if not method.softens:
            return method.occupancy(hard, hard)
        soft = self.composed(self.softened(score, method, self.slope))
        return method.occupancy(soft if present is None else soft * present, hard)


class Occupancy(Gate):
    """Turns a score q into an occupancy o: on where q is above 0.

    Put one wherever a network decides whether to compute something, and multiply by what it returns.

    Args:
        inclusive: Whether a score of exactly 0 counts as occupied (DynConv: q >= 0) or not (SkipNet:
            sigmoid(q) > 0.5).
        used: Whether the network multiplies by the occupancy. One that is not used only says what is computed.

    >>> import torch
    >>> from lgm_bench import LGM
    >>> unit = Occupancy()
    >>> score = torch.tensor([-1.0, 2.0], requires_grad=True)
    >>> unit(score)
    tensor([0., 1.])
    >>> with LGM(slope=1.0).applied_to(unit):
    ...     unit(score).sum().backward()
    >>> bool((score.grad > 0).all())
    True
    """

    def __init__(self, *, inclusive: bool = False, used: bool = True) -> None:
        super().__init__()
        self.inclusive, self.used = inclusive, used

    def hard(self, score: Tensor) -> Tensor:
        return score >= 0 if self.inclusive else torch.sigmoid(score) > 0.5

    def extra_repr(self) -> str:
        return f"inclusive={self.inclusive}"


class Exit(Gate):
    """Early exits: the first exit that is confident enough answers, and the last one where none is.

    Scores are the confidences (B, K - 1) of all exits but the last; occupancies (B, K) say which exit answers, and sum
    to 1. The answer of the network is the sum of occupancy times output over the exits. What a decision controls is
    the next stage: `executed` says for each of the K - 1 later stages whether it runs.

    Args:
        thresholds: One for each exit but the last; infinite for an exit that is never taken. Where a low value is
            confident (an entropy), give minus the value as the score and minus the threshold.
        inclusive: Whether a confidence that equals its threshold is enough.

    Raises:
        ConfigError: There is no threshold, or one is no number.

    >>> gate = Exit([0.8, 0.5])
    >>> gate(torch.tensor([[0.9, 0.1], [0.3, 0.6], [0.3, 0.2]]))
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """

    chooses = "one"

    def __init__(self, thresholds: Sequence[float], *, inclusive: bool = False) -> None:
        super().__init__()
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        if not self.thresholds or any(math.isnan(threshold) for threshold in self.thresholds):
            raise ConfigError(f"thresholds must be numbers, one for each exit but the last; got {list(thresholds)}")
        self.inclusive = inclusive

    def hard(self, score: Tensor) -> Tensor:
        thresholds = self._thresholds(score)
        return score >= thresholds if self.inclusive else score > thresholds

    def margin(self, score: Tensor) -> Tensor:
        return score - self._thresholds(score)

    def composed(self, decided: Tensor) -> Tensor:
        everyone = torch.ones_like(decided[:, :1])
        arrived = torch.cat([everyone, torch.cumprod(1 - decided, dim=1)], dim=1)
        return arrived * torch.cat([decided, everyone], dim=1)

    def executed(self, occupancy: Tensor) -> Tensor:
        return 1 - occupancy.cumsum(dim=1)[:, :-1]

    def forward(self, score: Tensor, present: Tensor | None = None, outputs: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return the occupancies (B, K), of the dtype of `score`.

        Args:
            score: (B, K - 1) confidences.
            present: See `Gate.forward`; without meaning here.
            outputs: (B, K, ...) what each exit answers, for whoever records this call; nothing is computed from it.
        """
        return super().forward(score)

    def _thresholds(self, score: Tensor) -> Tensor:
        if score.ndim != 2 or score.shape[1] != len(self.thresholds):
            raise ConfigError(
                f"{len(self.thresholds)} exits have a threshold, so their scores must be (B, {len(self.thresholds)}); "
                f"got {tuple(score.shape)}"
            )
        return torch.cat([score.new_full((1,), threshold) for threshold in self.thresholds])  # a GPU need not wait

    def extra_repr(self) -> str:
        return (
            f"thresholds=({', '.join(f'{threshold:g}' for threshold in self.thresholds)}), inclusive={self.inclusive}"
        )


class TopK(Gate):
    """Keeps the k largest scores along the last dimension, such as tokens; of equal ones those that come first.

    Occupancies have the shape of the scores. With `present`, the k are chosen among what is present, and all of it is
    kept where there is no more. Two scores that tie for the last place have a margin of 0, and so a soft occupancy of
    0.5 at every slope.

    Args:
        k: How many to keep, at least 1; or which share of all, in (0, 1), whether present or not.
        ceil: Round a share up (EViT) and not down (DynamicViT). At least one is always kept.

    Raises:
        ConfigError: k is neither.

    >>> TopK(2)(torch.tensor([[0.3, 0.1, 0.9, 0.3]]))
    tensor([[1., 0., 1., 0.]])
    """

    chooses = "some"

    def __init__(self, k: int | float, *, ceil: bool = False) -> None:
        super().__init__()
        if isinstance(k, bool) or not (k >= 1 if isinstance(k, int) else 0 < k < 1):
            raise ConfigError(f"k must be a whole number of at least 1 or a share between 0 and 1, got {k!r}")
        self.k, self.ceil = k, ceil

    def count(self, n: int) -> int:
        """Return how many of n are kept."""
        if isinstance(self.k, int):
            return min(self.k, n)
        return max(1, math.ceil(self.k * n) if self.ceil else int(self.k * n))

    def candidates(self, score: Tensor, present: Tensor | None) -> Tensor:
        if present is None:
            return score
        present, k = present.detach().broadcast_to(score.shape), self.count(score.shape[-1])
        least = torch.full_like(present[..., :1], PRESENT)
        if k < score.shape[-1]:  # soft occupancies of gates in a row fall below PRESENT together: the largest compete
            least = torch.minimum(least, present.topk(k + 1, dim=-1).values[..., -1:])
        return score.masked_fill((present < least) | (present == 0), -math.inf)

    def hard(self, score: Tensor) -> Tensor:
        best = score.argsort(dim=-1, descending=True, stable=True)[..., : self.count(score.shape[-1])]
        return torch.zeros_like(score, dtype=torch.bool).scatter_(-1, best, True) & (score > -math.inf)

    def margin(self, score: Tensor) -> Tensor:
        k = self.count(score.shape[-1])
        if k == score.shape[-1]:
            return torch.where(score > -math.inf, math.inf, -math.inf).to(score.dtype)
        ordered = score.sort(dim=-1, descending=True, stable=True).values
        margin = score - (ordered[..., k - 1 : k] + ordered[..., k : k + 1]) / 2
        return margin.masked_fill(score == -math.inf, -math.inf)

    def extra_repr(self) -> str:
        return f"k={self.k:g}, ceil={self.ceil}"


class Choice(Gate):
    """Chooses the largest of E scores along the last dimension, such as an expert; of equal ones the first.

    Occupancies have the shape of the scores and sum to 1. The soft ones are softmax(slope * score). They are computed
    as the sigmoid of the margin over the other scores' smooth maximum, so that gradient methods need no rule for this.

    >>> Choice()(torch.tensor([[0.3, 0.9, -0.5]]))
    tensor([[0., 1., 0.]])
    """

    chooses = "one"

    def hard(self, score: Tensor) -> Tensor:
        best = score.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(score, dtype=torch.bool).scatter_(-1, best, True)

    def margin(self, score: Tensor) -> Tensor:
        return score - self._others(score).amax(dim=-1)

    def softened(self, score: Tensor, method: GradientMethod, slope: float) -> Tensor:
        if score.shape[-1] == 1:
            return torch.ones_like(score)
        decided = method.softened(score - self._others(slope * score).logsumexp(dim=-1) / slope, slope)
        return decided / decided.sum(dim=-1, keepdim=True)

    @staticmethod
    def _others(score: Tensor) -> Tensor:
        """Return the other scores of each one, (..., E, E), minus infinity at its own place."""
        n = score.shape[-1]
        own = torch.eye(n, dtype=torch.bool, device=score.device)
        return score[..., None, :].expand(*score.shape, n).masked_fill(own, -math.inf)


class Halting(Gate):
    """Goes on to the next step while the halting scores, added up, stay below 1 - eps (Graves 2016; A-ViT).

    Call it after each step with the sum so far; it returns the occupancy of the next step. The first step always runs.
    Give the occupancy of this step as `present`, so that occupancies multiply over the steps.

    Args:
        eps: In (0, 1).

    Raises:
        ConfigError: eps is no such number.

    >>> gate, total, running = Halting(), torch.zeros(2), torch.ones(2)
    >>> for halting_score in torch.tensor([[0.5, 0.995], [0.6, 0.0]]):
    ...     total = total + halting_score
    ...     running = gate(total, running)
    ...     print(running)
    tensor([1., 0.])
    tensor([0., 0.])
    """

    def __init__(self, eps: float = 0.01) -> None:
        super().__init__()
        if not 0 < eps < 1:
            raise ConfigError(f"eps of halting must lie between 0 and 1, got {eps!r}")
        self.eps = eps

    def hard(self, score: Tensor) -> Tensor:
        return score < 1 - self.eps

    def margin(self, score: Tensor) -> Tensor:
        return (1 - self.eps) - score

    def extra_repr(self) -> str:
        return f"eps={self.eps:g}"
