"""Where a method holds: in the thread that applied it, in autograd's recomputation, and never in copies."""

import copy
import io
import pickle
import threading
from collections.abc import Callable

import pytest
import torch
from gated import Gated, gradient, points
from torch import nn
from torch.utils.checkpoint import checkpoint

from lgm_bench import FGM, LGM, Leaded, Occupancy, StraightThrough
from lgm_bench.errors import ConfigError
from lgm_bench.leaded import GradientMethod


def in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a thread of its own, and raise here what it raised."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def test_two_threads_with_one_victim_do_not_see_each_others_method() -> None:
    """Both are inside their block at the same time, whoever is faster."""
    network, meet = Gated(), threading.Barrier(2, timeout=30)
    methods: list[GradientMethod] = [FGM(), LGM(2.0)]
    expected = [gradient(Leaded(network, method), points()) for method in methods]
    found: dict[int, list[torch.Tensor]] = {0: [], 1: []}

    def attack(number: int) -> None:
        for _ in range(20):
            with methods[number].applied_to(network):
                meet.wait()
                found[number].append(gradient(network, points()))
                meet.wait()

    threads = [threading.Thread(target=attack, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not torch.equal(*expected)
    for number in (0, 1):
        assert len(found[number]) == 20
        assert all(torch.equal(value, expected[number]) for value in found[number])


def test_a_thread_started_inside_a_block_is_hard_and_leaves_the_block_alone() -> None:
    network = Gated()

    def work() -> None:
        assert isinstance(network.first.gradient, FGM)
        with StraightThrough(3.0).applied_to(network):
            assert isinstance(network.first.gradient, StraightThrough)

    with LGM(2.0).applied_to(network):
        in_thread(work)
        assert isinstance(network.first.gradient, LGM)


def test_blocks_that_end_in_another_order_restore_their_own_network() -> None:
    one, other = Gated(), Gated()
    first, second = LGM(1.0).applied_to(one), LGM(2.0).applied_to(other)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (type(one.first.gradient), other.first.slope) == (FGM, 2.0)
    second.__exit__(None, None, None)
    assert isinstance(other.first.gradient, FGM)


class Checkpointed(nn.Module):
    def __init__(self, network: nn.Module, *, reentrant: bool) -> None:
        super().__init__()
        self.network, self.reentrant = network, reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = checkpoint(self.network, x, use_reentrant=self.reentrant)
        return y


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_recompute_under_the_method_in_force(*, reentrant: bool, device: str) -> None:
    network, x = Gated(), points().to(device)
    with LGM(2.0).applied_to(network):
        expected = gradient(network, x)
        for module in (Checkpointed(network, reentrant=reentrant),):
            y = x.clone().requires_grad_()
            output = module(y).sum()
            output.backward()
            assert torch.equal(y.grad, expected)
    assert not torch.equal(expected, gradient(network, x))


def test_copies_are_hard_whenever_they_are_made() -> None:
    network = Gated()
    hard = gradient(network, points())
    copies = [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
    with LGM(0.5).applied_to(network):
        copies += [copy.deepcopy(network), pickle.loads(pickle.dumps(network))]
        saved = io.BytesIO()
        torch.save(network, saved)
        saved.seek(0)
        copies.append(torch.load(saved, weights_only=False))
        for copied in copies:
            assert isinstance(copied.first.gradient, FGM)
            assert torch.equal(gradient(copied, points()), hard)
    assert all(torch.equal(gradient(copied, points()), hard) for copied in copies)


def test_replicas_of_data_parallel_take_the_method_into_their_threads() -> None:
    unit, seen = Occupancy(), []
    with LGM(4.0).applied_to(unit):
        replica = unit._replicate_for_data_parallel()
    in_thread(lambda: seen.append(replica(torch.tensor([1.0]))))
    assert torch.equal(seen[0], torch.sigmoid(torch.tensor([4.0])))
    assert unit._replicate_for_data_parallel()(torch.tensor([1.0])).item() == 1


def traced(network: nn.Module) -> nn.Module:
    return torch.fx.symbolic_trace(network)


def exported(network: nn.Module) -> nn.Module:
    return torch.export.export(network, (points(),)).module()


def scripted(network: nn.Module) -> nn.Module:
    return torch.jit.trace(network, (points(),))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("made", [traced, exported, scripted])
def test_networks_that_lost_their_units_are_refused_where_they_would_silently_be_fgm(made) -> None:
    network = made(Gated())
    for method in (LGM(2.0), StraightThrough(2.0)):
        with pytest.raises(ConfigError, match=r"found no adaptive unit in .*traced, exported or scripted"):
            Leaded(network, method)
        with pytest.raises(ConfigError, match="found no adaptive unit"), method.applied_to(network):
            pass
    assert torch.equal(Leaded(network, FGM())(points()), Gated()(points())), "a static network has its own gradient"


def test_a_compiled_network_keeps_its_units() -> None:
    network = Gated()
    compiled = torch.compile(network, backend="eager")
    for method in (FGM(), LGM(2.0), FGM(), StraightThrough(1.0), LGM(1.0)):
        with method.applied_to(network):
            expected, before = network(points()), gradient(network, points())
        with method.applied_to(compiled):
            assert torch.equal(compiled(points()), expected)
            assert torch.equal(gradient(compiled, points()), before)
