"""What becomes of a sample depends on the sample: not on its batch, its place in it, or what ran before."""

import pytest
import torch
from attack_cases import BITS, LOOPS, METHODS, Gated, Static, batch_for, images, only, perturbed

from lgm_bench.attacks.problem import sample_generator


@pytest.mark.parametrize("active_set", [False, True])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", LOOPS)
def test_a_batch_is_nothing_but_its_samples(name: str, targeted: bool, active_set: bool) -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(7))
    target = (batch.labels + 1) % 5
    attack = LOOPS[name](eps=12 * BITS, seed=3, active_set=active_set)
    for method in METHODS:
        together = perturbed(attack, victim, batch, method, target if targeted else None)
        for rows in ([4], [6, 2], [5, 3, 1, 0]):
            alone = perturbed(attack, victim, only(batch, rows), method, target[rows] if targeted else None)
            # a convolution may sum in another order for another batch size: the last digits of a float64
            assert torch.allclose(alone, together[rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LOOPS)
def test_the_same_call_gives_the_same_images(name: str) -> None:
    victim = Gated()
    batch = batch_for(victim, images(4))
    attack = LOOPS[name](eps=8 * BITS, seed=1)
    first = perturbed(attack, victim, batch, METHODS[1])
    torch.manual_seed(99)
    torch.rand(3)
    assert torch.equal(perturbed(attack, victim, batch, METHODS[1]), first)
    assert torch.equal(perturbed(LOOPS[name](eps=8 * BITS, seed=1), victim, batch, METHODS[1]), first)


def test_pgd_draws_by_seed_and_id() -> None:
    victim = Static()
    image = images(1)
    same = batch_for(victim, image.repeat(2, 1, 1, 1))
    start = {"eps": 8 * BITS, "step": 1e-9, "steps": 1}
    first, second = perturbed(LOOPS["pgd"].func(**start), victim, same)
    assert not torch.allclose(first, second, atol=1e-4), "two ids, two starts"
    one_id = same._replace(ids=["a", "a"])
    first, second = perturbed(LOOPS["pgd"].func(**start), victim, one_id)
    assert torch.allclose(first, second, rtol=0, atol=1e-8)
    other_seed = perturbed(LOOPS["pgd"].func(**start, seed=1), victim, one_id)[0]
    assert not torch.allclose(first, other_seed, atol=1e-4)


def test_attacks_leave_the_global_generator_alone() -> None:
    victim = Gated()
    batch = batch_for(victim, images(2))
    torch.manual_seed(4)
    before = torch.get_rng_state()
    for make in LOOPS.values():
        perturbed(make(eps=4 * BITS, valid_pixels=0.5), victim, batch)
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_differ_in_seed_id_and_attack() -> None:
    keys = [
        (0, "a", "pgd"),
        (1, "a", "pgd"),
        (0, "b", "pgd"),
        (0, "a", "autoattack"),
        (0, "pgd", "a"),
        (10, "a", "pgd"),
    ]
    draws = [torch.rand(4, generator=sample_generator(*key)) for key in keys]
    assert len({tuple(draw.tolist()) for draw in draws}) == len(keys)
    again = torch.rand(4, generator=sample_generator(*keys[0]))
    assert torch.equal(again, draws[0])
