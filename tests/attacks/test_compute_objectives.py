"""Objectives about what a network computes: their values, gradients, and what attacks that raise them achieve."""

import point_cases
import pytest
import torch
from torch import Tensor, nn

from lgm_bench import FGM, LGM
from lgm_bench.attacks import BIM, FGSM, Adam, PointAttack, PointBIM, RandomPerturbation
from lgm_bench.attacks.objective import Pass
from lgm_bench.attacks.objectives import Compute, DeepSloth, ExitCrossEntropy, GradMDM, objective_named
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod, decision_costs, recorded_calls
from lgm_bench.leaded.recording import hard_units
from lgm_bench.losses import margin
from lgm_bench.sparse.cost import counted_cost
from lgm_bench.tasks.adapter import adapter_of
from victims import load_victim


def network() -> nn.Module:
    """A network of seven exits with random weights, each of which answers for some images."""
    found = load_victim("rdi_resnet38-cifar10", "random", seed=1)
    found.network.settle([images(14)])
    return found


def images(n: int) -> Tensor:
    colours = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return nn.functional.interpolate(colours, scale_factor=8)


def compute(victim: nn.Module, x: Tensor) -> Tensor:
    return decision_costs(victim, x[:1]).of(hard_units(victim, x)[1])


def test_more_and_less_compute() -> None:
    """On the hard network; of the first and last exits there is nothing to gain in one of the directions."""
    victim, x = network(), images(14)
    labels, clean = victim(x).argmax(dim=1), compute(victim, x)
    means = {}
    for loss in ("compute", "underload", "deepsloth"):
        attack = BIM(16 / 255, step=2 / 255, steps=8, loss=loss)
        means[loss] = compute(victim, attack.perturb(victim, x, labels, gradient=LGM("auto"))).mean().item()
    assert means["compute"] > clean.mean().item() * 1.05
    assert means["underload"] < clean.mean().item() * 0.95
    assert means["deepsloth"] > clean.mean().item()


def test_gradmdm_needs_no_leaded_gradient() -> None:
    """Under FGM, on a SkipNet and on early exits."""
    for victim in (network(), load_victim("skipnet14-mini")):
        x = images(14)
        labels, clean = victim(x).argmax(dim=1), compute(victim, x)
        moved = Adam(16 / 255, steps=10, loss="gradmdm").perturb(victim, x, labels, gradient=FGM())
        assert compute(victim, moved).mean() > clean.mean() * 1.05


@pytest.mark.parametrize("loss", ["compute", "compute-kept", "underload", "gradmdm"])
def test_the_best_iterate_is_returned(loss: str) -> None:
    """Of the steps made by hand: the last one at which the hard network computes most, or least, for each image.

    With steps as large as these, a raised compute falls again now and then, so the last iterate is not always the best.
    """
    victim, x = network(), images(8)
    labels, method, step = victim(x).argmax(dim=1), LGM(30.0), 32 / 255
    costs = decision_costs(victim, x[:1])
    iterates, values = [x], []
    for _ in range(4):
        owner = torch.arange(8)
        moving = iterates[-1].clone().requires_grad_()
        with method.applied_to(victim), recorded_calls(victim) as calls:
            logits = victim(moving)
        seen = Pass(logits, labels, None, moving, x, owner, owner, calls, costs)
        (gradient,) = torch.autograd.grad(objective_named(loss)(seen).sum(), moving)
        iterates.append((iterates[-1] + step * gradient.sign()).clamp(x - step, x + step).clamp(0, 1).detach())
    for iterate in iterates:
        share = compute(victim, iterate) / costs.full
        kept = margin(victim(iterate), labels).clamp(max=0) if loss == "compute-kept" else 0
        values.append((-share if loss == "underload" else share) + kept)
    last_best = [max(range(5), key=lambda k: (values[k][image].item(), k)) for image in range(8)]
    result = BIM(step, step, 4, loss=loss).attack(victim, x, labels, gradient=method)
    assert result.kept.tolist() == last_best
    assert torch.equal(result.adversarial, torch.stack([iterates[k][image] for image, k in enumerate(last_best)]))
    assert len(set(last_best)) > 1 or loss == "underload"


def test_without_known_costs_the_last_iterate_is_returned() -> None:
    """DeepSloth's loss needs none."""
    victim, x = network(), images(4)
    victim.network.__class__ = type("Bare", (type(victim.network),), {"controls": property()})
    result = BIM(8 / 255, 4 / 255, 3, loss="deepsloth").attack(victim, x, torch.zeros(4, dtype=torch.int64))
    assert result.kept.tolist() == [3] * 4


def test_under_fgm_occupancies_are_constant() -> None:
    victim, x = network(), images(3)
    labels = torch.zeros(3, dtype=torch.int64)
    assert torch.equal(FGSM(8 / 255, loss="compute").perturb(victim, x, labels, gradient=FGM()), x)
    assert not torch.equal(FGSM(8 / 255, loss="deepsloth").perturb(victim, x, labels, gradient=FGM()), x)


@pytest.mark.parametrize("objective", [Compute(), Compute(-1, kept=0.5), DeepSloth(), GradMDM(2.0, distance=0.5)])
def test_values_and_gradients(objective: Compute | DeepSloth | GradMDM) -> None:
    victim, x = network().double(), images(2).double()
    labels = torch.tensor([1, 2])
    costs = decision_costs(victim, x[:1])
    direction = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def raised(step: Tensor) -> Tensor:
        moved = x + step[:, None, None, None] * direction
        with LGM(3.0).applied_to(victim), recorded_calls(victim) as calls:
            logits = victim(moved)
        owner = torch.arange(2)
        seen = Pass(logits, labels, None, moved, x, owner, owner, calls, costs)
        if isinstance(objective, Compute):
            q = torch.sigmoid(3.0 * calls[0].margin)
            runs = torch.cumprod(1 - q, dim=1)
            expected = (costs.fixed + runs @ costs.decisions[calls[0].name]) / costs.full * objective.sign
            expected = expected + objective.kept * margin(logits, labels).clamp(max=0)
        elif isinstance(objective, GradMDM):
            runs = torch.cumprod(1 - torch.sigmoid(calls[0].margin), dim=1)
            expected = runs.clamp(max=0.5).square().sum(dim=1).sqrt()
            expected = expected - 0.5 * (moved - x).square().sum(dim=(1, 2, 3))
        else:
            exits = calls[0].outputs[:, :-1].softmax(dim=-1)
            expected = exits.log().mean(dim=(1, 2))
        assert torch.allclose(objective(seen), expected)
        return objective(seen)

    assert torch.autograd.gradcheck(raised, torch.full((2,), 1e-3, dtype=torch.float64, requires_grad=True), atol=1e-6)


def test_losses_of_single_exits_do_not_depend_on_which_exit_answers() -> None:
    victim, x = network(), images(3)
    labels = torch.tensor([1, 2, 3])
    with torch.no_grad():
        exits = victim.network.all_exits(x)
    by_hand = torch.stack([nn.functional.cross_entropy(exits[:, k], labels, reduction="none") for k in range(7)], dim=1)
    for method in (FGM(), LGM(5.0)):
        with method.applied_to(victim), recorded_calls(victim) as calls:
            logits = victim(x)
        owner = torch.arange(3)
        seen = Pass(logits, labels, None, x, x, owner, owner, calls)
        assert torch.allclose(objective_named("exits")(seen), by_hand.mean(dim=1))
        assert torch.allclose(objective_named("last-exit")(seen), by_hand[:, -1])
        assert torch.allclose(ExitCrossEntropy(2)(seen._replace(target=labels)), -by_hand[:, 2])


def test_what_a_network_lacks_is_named() -> None:
    static = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    lacking = ("compute", "declare in controls"), ("deepsloth", "one Exit gate"), ("gradmdm", "network with gates")
    for loss, message in lacking:
        with pytest.raises(ConfigError, match=message):
            FGSM(0.1, loss=loss).perturb(static, torch.rand(1, 3, 2, 2), torch.tensor([0]))
    assert isinstance(objective_named("underload"), Compute)


@pytest.mark.parametrize("name", ["minknet-small-modelnet40", "minkunet14-scannet"])
def test_points_are_moved_into_more_or_fewer_voxels(name: str) -> None:
    """Counted operations of the hard network, of each shape and scene by itself; fewer than by as many random moves."""
    victim, sparse = point_cases.victim(name), point_cases.cloud(name)
    cloud = sparse.moved(0.5 * sparse.points)  # several points in a voxel, and free voxels around them
    labels = victim(cloud).argmax(dim=1)
    eps, step, steps = 0.4 * victim.voxelization.grid.edge, 0.1 * victim.voxelization.grid.edge, 6
    fgm = FGM()

    def operations(attack: PointAttack | None, gradient: GradientMethod = fgm) -> Tensor:
        moved = cloud if attack is None else cloud.moved(attack.perturb(victim, cloud, labels, gradient=gradient))
        with counted_cost() as cost:
            victim(moved)
        return cost.of_scenes(2)

    clean = operations(None)
    more = operations(PointBIM(eps, step, steps, loss="compute"), LGM("auto"))
    fewer = operations(PointBIM(eps, step, steps, loss="underload"), LGM("auto"))
    fewest = operations(RandomPerturbation(eps, steps=steps, loss="underload"))
    assert (more >= clean).all()
    assert more.sum() > clean.sum()
    assert (fewer < clean).all()
    assert fewer.sum() < fewest.sum()
    assert torch.equal(operations(PointBIM(eps, step, steps, loss="compute")), clean)


def test_occupied_voxels_by_hand() -> None:
    """The sum of the soft occupancies of each shape, and its gradient by finite differences."""
    name = "minknet-small-modelnet40"
    victim, cloud = point_cases.victim(name), point_cases.cloud(name, (9, 7))
    adapter, labels, method = adapter_of(victim), torch.zeros(2, dtype=torch.int64), LGM(5.0)

    def raised(points: Tensor) -> Tensor:
        moved = cloud.moved(points)
        with method.applied_to(victim, adapter.reach(cloud.points, 0.01, 0.02)), adapter.occupied(victim) as voxels:
            logits = victim(moved)
        owner = torch.arange(2)
        seen = Pass(logits, labels, None, points, cloud.points, cloud.scene, owner, [], voxels=voxels[0])
        occupancy, sample = voxels[0]
        by_hand = torch.stack([occupancy[sample == shape].sum() for shape in range(2)])
        assert torch.allclose(objective_named("compute")(seen), by_hand)
        assert torch.allclose(objective_named("underload")(seen), -by_hand)
        return by_hand

    assert torch.autograd.gradcheck(raised, cloud.points.clone().requires_grad_(), eps=1e-6, atol=1e-5)
