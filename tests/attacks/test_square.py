"""Square Attack: its schedule, its proposals, and how near it comes to a known optimum."""

import pytest
import torch
from ensemble_cases import Gated, Linear, Seen, batch_for, images, problem_for
from torch import Tensor

from lgm_bench import FGM, LGM
from lgm_bench.attacks.problem import Problem, sample_generator
from lgm_bench.attacks.square import square, square_side, useful_corners
from lgm_bench.losses import margin


def run(problem: Problem, queries: int) -> Tensor:
    with torch.no_grad():
        return square(problem, [sample_generator(0, name, "square") for name in problem.ids], queries, lambda: None)


def test_side_is_the_papers_share_of_the_image() -> None:
    # Andriushchenko et al. 2020, Sec. 4.1: p is halved at 10, 50, 200, ... of 10,000 queries; 0.8 of 32 x 32 pixels
    expected = {0: 29, 10: 29, 11: 20, 50: 20, 51: 14, 201: 10, 501: 7, 1001: 5, 2001: 4, 4001: 3, 6001: 2, 8001: 1}
    assert {query: square_side(query, 32, 32) for query in expected} == expected
    assert square_side(0, 4, 40) == 4


def test_corners_are_those_whose_square_touches_the_mask() -> None:
    mask = torch.zeros(7, 5, dtype=torch.bool)
    mask[0, 0] = mask[5, 3] = True
    for side in (1, 2, 3, 5):
        expected = [
            [row, column]
            for row in range(7 - side + 1)
            for column in range(5 - side + 1)
            if bool(mask[row : row + side, column : column + side].any())
        ]
        assert useful_corners(mask, side).tolist() == expected


def test_every_query_differs_from_the_best_by_one_square_of_one_colour() -> None:
    victim = Seen(Linear(classes=3, size=8))
    batch = batch_for(victim, images(1, margin=0.3))
    problem, _, box = problem_for(victim, batch, eps=0.001)  # too little to fall: all queries are seen
    victim.queries.clear()
    final = run(problem, 80)
    queries = torch.cat(victim.queries)
    assert len(queries) == 81
    assert bool(((queries == box.lower) | (queries == box.upper)).all()), "a proposal is off the box's border"
    assert not bool((queries[0] - batch.images[0]).sign().diff(dim=1).any()), "it begins with vertical stripes"
    best, lowest = queries[0], float(margin(victim.victim(queries[:1]), batch.labels))
    places = set()
    for number, proposal in enumerate(queries[1:]):
        rows, columns = ((proposal != best).any(dim=0).any(dim=1 - axis).nonzero() for axis in (0, 1))
        side = square_side(number, 8, 8)
        if len(rows):
            assert int(rows.max() - rows.min()) < side
            assert int(columns.max() - columns.min()) < side
            places.add((int(rows.min()), int(columns.min())))
        lead = float(margin(victim.victim(proposal[None]), batch.labels))
        if lead < lowest:
            best, lowest = proposal, lead
    assert torch.equal(final[0], best)
    assert len(places) > 10
    assert not victim.differentiates


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_comes_near_the_best_corner_of_the_box(share: float) -> None:
    victim, eps = Linear(classes=2, size=4), 0.01
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask.view(-1)[torch.randperm(16, generator=torch.Generator().manual_seed(1))[: int(16 * share)]] = True
    batch = batch_for(victim, images(4, size=4, margin=0.3))
    problem, *_ = problem_for(victim, batch, eps, mask=mask)
    standing = victim(batch.images).diff(dim=1).abs().squeeze(1)
    reach = eps * (victim.layer.weight.diff(dim=0).abs() * mask.expand(3, 4, 4).flatten()).sum()
    assert bool((standing > reach).any()), "one must stand, or there is no optimum to come near to"
    found = run(problem, 600)
    left = victim(found).diff(dim=1).abs().squeeze(1)
    for before, after in zip(standing.tolist(), left.tolist(), strict=True):
        if before > reach:
            assert before - after > 0.85 * float(reach)
    assert torch.equal(found.masked_select(~mask), batch.images.masked_select(~mask))


def test_a_gradient_method_makes_no_difference() -> None:
    victim = Gated()
    batch = batch_for(victim, images(4))
    problems = [problem_for(victim, batch, 0.1, method) for method in (FGM(), LGM(0.1))]
    found = [run(problem, 40) for problem, *_ in problems]
    assert torch.equal(*found)


def test_targeted_raises_the_target() -> None:
    victim = Gated(seed=1)
    batch = batch_for(victim, images(6))
    target = victim(batch.images).topk(2, dim=1).indices[:, 1]
    problem, *_ = problem_for(victim, batch, 0.1, target=target)
    found = run(problem, 100)
    with torch.no_grad():
        assert bool((margin(victim(found), target) > margin(victim(batch.images), target)).all())
        assert int((victim(found).argmax(dim=1) == target).sum()) >= 3
