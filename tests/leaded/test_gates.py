"""Gates beside `Occupancy`: hard rule, leaded form, its limit, gradients, what is conserved, what is not there."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from lgm_bench import FGM, LGM, Choice, Exit, Halting, Occupancy, Soft, StraightThrough, TopK, architecture
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import Gate, GradientMethod, calibrated, recorded_calls

GATES = {
    "exit": (Exit([0.2, -0.4, 0.6]), 3),
    "top-2": (TopK(2), 5),
    "top-half": (TopK(0.5), 5),
    "choice": (Choice(), 4),
    "halting": (Halting(0.1), 3),
    "occupancy": (Occupancy(), 3),
}
METHODS = [FGM(), LGM(3.0), Soft(3.0), StraightThrough(3.0)]


class Steps(GradientMethod):
    """A user's own method: soft decisions are a ramp."""

    def softened(self, margin: Tensor, slope: float) -> Tensor:
        return (0.5 + slope * margin).clamp(0.01, 0.99)

    def occupancy(self, soft: Tensor, hard: Tensor) -> Tensor:
        return 0.25 * soft + 0.75 * hard


def scores(n: int, rows: int = 6) -> Tensor:
    return torch.randn(rows, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def under(gate: Gate, method: GradientMethod, score: Tensor, **options: Tensor) -> Tensor:
    with method.applied_to(gate):
        return gate(score, **options)


def hard_by_hand(name: str, row: list[float]) -> list[float]:
    """The networks' own rules, one sample at a time."""
    if name == "exit":
        taken = next((k for k, (s, t) in enumerate(zip(row, (0.2, -0.4, 0.6), strict=True)) if s > t), 3)
        return [float(k == taken) for k in range(4)]
    if name.startswith("top"):
        kept = sorted(range(len(row)), key=lambda i: -row[i])[:2]
        return [float(i in kept) for i in range(len(row))]
    if name == "choice":
        return [float(i == row.index(max(row))) for i in range(len(row))]
    return [float(value < 0.9 if name == "halting" else value > 0) for value in row]


@pytest.mark.parametrize("name", GATES)
def test_the_hard_form_is_the_rule_of_the_network(name: str) -> None:
    gate, n = GATES[name]
    score = scores(n)
    expected = [hard_by_hand(name, row) for row in score.tolist()]
    assert gate(score).tolist() == expected
    assert under(gate, StraightThrough(3.0), score).tolist() == expected


@pytest.mark.parametrize("name", GATES)
def test_the_sign_of_a_margin_is_the_decision(name: str) -> None:
    gate, n = GATES[name]
    score = scores(n)
    assert torch.equal(gate.margin(score) > 0, gate.hard(score))


@pytest.mark.parametrize("name", GATES)
def test_a_steep_slope_is_hard(name: str) -> None:
    gate, n = GATES[name]
    score = scores(n)
    distances = [(under(gate, LGM(slope), score) - gate(score)).abs().max().item() for slope in (1.0, 1e2, 1e6)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.05
    assert distances[-1] == 0


@pytest.mark.parametrize("method", [LGM(0.7), LGM(8.0), StraightThrough(3.0), Steps(0.05)], ids=repr)
@pytest.mark.parametrize("name", GATES)
def test_gradients_are_those_of_finite_differences(name: str, method: GradientMethod) -> None:
    gate, n = GATES[name]
    score = scores(n, 3).requires_grad_()
    if isinstance(method, StraightThrough):  # its forward pass is constant, its gradient the soft one's
        weights = torch.randn(under(gate, method, score).shape, dtype=torch.float64)
        found, expected = (
            torch.autograd.grad((under(gate, kind, score) * weights).sum(), score)[0] for kind in (method, LGM(3.0))
        )
        assert torch.equal(found, expected)
        assert bool((expected != 0).any())
    else:
        assert torch.autograd.gradcheck(lambda q: under(gate, method, q), score)


@pytest.mark.parametrize("name", GATES)
def test_constants_have_no_gradient_and_soft_has_the_values_of_lgm(name: str) -> None:
    gate, n = GATES[name]
    score = scores(n).requires_grad_()
    assert not under(gate, FGM(), score).requires_grad
    soft = under(gate, Soft(3.0), score)
    assert not soft.requires_grad
    assert torch.equal(soft, under(gate, LGM(3.0), score))


@pytest.mark.parametrize("method", [*METHODS, Steps(0.05)], ids=repr)
@pytest.mark.parametrize("name", ["exit", "choice"])
def test_exits_and_experts_sum_to_1(name: str, method: GradientMethod) -> None:
    gate, n = GATES[name]
    total = under(gate, method, 3 * scores(n)).sum(dim=1)
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_exits_multiply_what_no_earlier_exit_took() -> None:
    gate, slope = Exit([0.2, -0.4, 0.6]), 3.0
    score = scores(3)
    q = torch.sigmoid(slope * (score - torch.tensor([0.2, -0.4, 0.6])))
    for row, found in zip(q.tolist(), under(gate, LGM(slope), score).tolist(), strict=True):
        a, b, c = row
        assert found == pytest.approx([a, (1 - a) * b, (1 - a) * (1 - b) * c, (1 - a) * (1 - b) * (1 - c)])


def test_experts_are_the_softmax() -> None:
    score = scores(4)
    assert torch.allclose(under(Choice(), LGM(3.0), score), torch.softmax(3 * score, dim=1), rtol=1e-12)
    assert Choice()(torch.ones(2, 1)).tolist() == [[1], [1]]
    assert under(Choice(), LGM(3.0), torch.ones(2, 1)).tolist() == [[1], [1]]


def test_the_first_of_equal_ones() -> None:
    equal = torch.zeros(2, 4)
    assert TopK(2)(equal).tolist() == [[1, 1, 0, 0]] * 2
    assert Choice()(equal).tolist() == [[1, 0, 0, 0]] * 2
    assert under(TopK(2), LGM(1e6), equal).tolist() == [[0.5] * 4] * 2


def test_a_confidence_that_equals_its_threshold() -> None:
    score = torch.tensor([[0.1]])  # as a float32 it is not the float64 0.1
    assert Exit([0.1])(score).tolist() == [[0, 1]]
    assert Exit([0.1], inclusive=True)(score).tolist() == [[1, 0]]
    assert Exit([math.inf, -math.inf])(torch.zeros(1, 2)).tolist() == [[0, 1, 0]]


def test_what_exits_execute_are_the_stages_that_run() -> None:
    gate = Exit([0.5, 0.5])

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.exits = gate

        def forward(self, score: Tensor) -> Tensor:
            return self.exits(score, outputs=score)

    network, score = Chain(), torch.tensor([[0.9, 0.9], [0.1, 0.9], [0.1, 0.1]])
    assert architecture(network, score)[0].tolist() == [[False, False], [True, False], [True, True]]
    with LGM(2.0).applied_to(network), recorded_calls(network) as calls:
        network(score)
    q = torch.sigmoid(2.0 * (score - 0.5))
    assert calls[0].outputs is score
    assert torch.allclose(calls[0].executed, torch.cumprod(1 - q, dim=1), atol=1e-6)


def test_shares_of_tokens() -> None:
    kept = {(k, ceil): TopK(k, ceil=ceil).count(7) for k, ceil in itertools.product((0.5, 0.01), (False, True))}
    assert kept == {(0.5, False): 3, (0.5, True): 4, (0.01, False): 1, (0.01, True): 1}
    assert TopK(9).count(7) == 7
    assert under(TopK(9), LGM(2.0), scores(5)).tolist() == [[1] * 5] * 6


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_what_is_gone_decides_nothing(method: GradientMethod) -> None:
    """Two of four tokens are left: the larger of them stays, whatever the scores of those that are gone."""
    present = torch.tensor([[1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    score = torch.tensor([[0.3, 9.0, 0.5, 8.0]], dtype=torch.float64, requires_grad=True)
    found = under(TopK(1), method, score, present=present)
    assert found[0, [1, 3]].tolist() == [0, 0]
    soft = 1 / (1 + math.exp(3.0 * 0.1))
    assert found[0, [0, 2]].tolist() == pytest.approx([0, 1] if method.shows_hard else [soft, 1 - soft])
    assert under(TopK(3), method, score, present=present).tolist() == present.tolist(), "no more than there are"
    assert under(Occupancy(), method, score, present=present)[0, [1, 3]].tolist() == [0, 0]
    if found.requires_grad:
        (gradient,) = torch.autograd.grad(found[0, 2], score)
        assert gradient[0, [1, 3]].tolist() == [0, 0]
        assert gradient[0, 2] > 0 > gradient[0, 0]


def test_the_gradient_of_what_is_present_passes() -> None:
    score, present = scores(4, 2).requires_grad_(), torch.rand(2, 4, dtype=torch.float64, requires_grad=True)
    for gate in (Occupancy(), TopK(2), Halting()):
        assert torch.autograd.gradcheck(lambda q, p, gate=gate: under(gate, LGM(2.0), q, present=p), (score, present))


def test_soft_gates_in_a_row_leave_a_choice_to_the_last() -> None:
    """With gentle slopes every presence is below a half, and the gate still decides between its k-th and next token."""
    score = torch.tensor([[0.3, 9.0, 0.5, 0.4]], dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[0.4, 0.1, 0.3, 0.2]], dtype=torch.float64)
    found = under(TopK(1), LGM(3.0), score, present=present)
    low, high = (1 / (1 + math.exp(sign * 3.0 * 0.1)) for sign in (1, -1))
    assert found[0].tolist() == pytest.approx([0.4 * low, 0, 0.3 * high, 0])
    (gradient,) = torch.autograd.grad(found[0, 2], score)
    assert gradient[0, 2] > 0 > gradient[0, 0]
    assert gradient[0, [1, 3]].tolist() == [0, 0]


def test_slopes_by_pattern_and_automatic_ones() -> None:
    network = nn.ModuleDict({"a": Exit([0.5]), "b": nn.ModuleDict({"c": TopK(1), "d": Choice()})})
    method = LGM({"b.c": 7.0, "b.*": 3.0, "*": 1.0})
    with method.applied_to(network):
        assert [unit.slope for unit in (network["a"], network["b"]["c"], network["b"]["d"])] == [1.0, 7.0, 3.0]

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = TopK(1)

        def forward(self, score: Tensor) -> Tensor:
            return self.gate(score, score.new_tensor([1.0, 0.0, 1.0]).expand_as(score))

    slopes = calibrated(LGM("auto"), Tokens(), torch.tensor([[0.1, 9.0, 0.5]])).slope
    assert slopes == {"gate": 100.0}, "20 over a margin of 0.2; what is gone does not count"


@pytest.mark.parametrize(
    "senseless",
    [
        lambda: Exit([]),
        lambda: Exit([math.nan]),
        lambda: Exit([0.5])(torch.zeros(2, 2)),
        lambda: TopK(0),
        lambda: TopK(1.5),
        lambda: TopK(True),
        lambda: Halting(0.0),
    ],
)
def test_senseless_gates(senseless) -> None:
    with pytest.raises(ConfigError, match="got"):
        senseless()


def test_gates_print_what_they_are_and_hold_no_state() -> None:
    gates = [Exit([0.5, 1]), TopK(0.25), Choice(), Halting()]
    assert [repr(gate) for gate in gates] == [
        "Exit(thresholds=(0.5, 1), inclusive=False)",
        "TopK(k=0.25, ceil=False)",
        "Choice()",
        "Halting(eps=0.01)",
    ]
    assert all(gate.state_dict() == {} for gate in gates)
