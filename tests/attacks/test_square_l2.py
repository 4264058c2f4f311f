"""Square Attack within an L2 ball: its pattern, its moves, and what it does to images."""

from dataclasses import replace

import pytest
import torch
from attack_cases import only
from ensemble_cases import Gated, Linear, Seen, attacked, batch_for, images, problem_for
from torch import Tensor, nn

from datamodules.batch import ImageBatch
from lgm_bench.attacks import AutoAttack, L2Ball
from lgm_bench.attacks.problem import Problem, sample_generator
from lgm_bench.attacks.square import square, square_side
from lgm_bench.attacks.square_l2 import moved, placed, tiled, two_hills
from lgm_bench.losses import margin


def problem_within(eps: float, victim: nn.Module, batch: ImageBatch, mask: Tensor | None = None) -> Problem:
    return replace(problem_for(victim, batch, eps)[0], region=L2Ball(eps, mask=mask).around(batch.images))


def run(problem: Problem, queries: int) -> Tensor:
    with torch.no_grad():
        return square(problem, [sample_generator(0, name, "square") for name in problem.ids], queries, lambda: None)


def sizes(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1)


@pytest.mark.parametrize("side", [1, 2, 3, 6, 7, 29])
def test_pattern_is_the_papers_sum(side: int) -> None:
    # Andriushchenko et al. 2020, Sec. 3.4: row r and column s count from 1; the halves have k and side - k columns
    def hill(columns: int) -> list[list[float]]:
        n = side // 2
        return [
            [
                sum(1 / (n + 1 - k) ** 2 for k in range(n - max(abs(r - n - 1), abs(s - columns // 2 - 1)) + 1))
                for s in range(1, columns + 1)
            ]
            for r in range(1, side + 1)
        ]

    left, right = hill(side // 2), hill(side - side // 2)
    expected = torch.tensor([a + [-value for value in b] for a, b in zip(left, right, strict=True)]).double()
    assert torch.allclose(two_hills(side), expected.T / expected.norm(), rtol=0, atol=1e-7)


def test_sides_are_odd_and_fit() -> None:
    expected = {0: 29, 11: 21, 51: 15, 201: 11, 501: 7, 1001: 5, 2001: 5, 4001: 3, 8001: 3}
    assert {query: square_side(query, 32, 32, in_ball=True) for query in expected} == expected
    assert [square_side(0, size, size, in_ball=True) for size in (2, 4, 5)] == [2, 4, 5]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (28, 40), (4, 3)])
def test_starts_with_tiles_of_either_sign(height: int, width: int) -> None:
    mask = torch.ones(height, width, dtype=torch.bool)
    starts = torch.stack([tiled(3, mask, torch.Generator().manual_seed(seed)) for seed in range(20)])
    assert torch.allclose(sizes(starts), torch.ones(20, dtype=torch.float64))
    side = max(min(height, width) // 5, 1)
    top, left = (height % side) // 2, (width % side) // 2
    first = starts[:, 0, top : top + side, left : left + side]
    pattern = two_hills(side) * first.flatten(1).norm(dim=1)[0]
    kinds = {
        (turned, sign)
        for tile in first
        for turned, form in enumerate((pattern, pattern.T))
        for sign in (-1, 1)
        if torch.allclose(tile, sign * form)
    }
    assert len(kinds) == 4
    part = torch.zeros_like(mask)
    part[2, 1] = True
    assert sizes(tiled(3, part, torch.Generator().manual_seed(0))[None]).item() == pytest.approx(1)


def test_places_patterns_and_their_transposes() -> None:
    pattern = torch.arange(1.0, 10).view(3, 3)
    corner, turned = torch.tensor([[0, 0], [2, 3], [4, 1]]), torch.tensor([False, True, False])
    found = placed(pattern, turned, corner, 7, 6)
    for image, (row, column), form in zip(found, corner.tolist(), (pattern, pattern.T, pattern), strict=True):
        expected = torch.zeros(1, 7, 6)
        expected[0, row : row + 3, column : column + 3] = form
        assert torch.equal(image, expected)


def test_a_move_is_the_papers_and_keeps_the_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    for trial in range(40):
        change = torch.randn(1, 3, 9, 9, generator=generator, dtype=torch.float64)
        change *= 0.5 * (1.0 if trial % 2 else 0.7) / change.norm()
        (r1, c1), (r2, c2) = torch.randint(0, 7, (2, 2), generator=generator).tolist()
        rows, columns = (slice(r1, r1 + 3), slice(r2, r2 + 3)), (slice(c1, c1 + 3), slice(c2, c2 + 3))
        window, other, pattern = (
            torch.zeros(1, 1, 9, 9).bool(),
            torch.zeros(1, 1, 9, 9).bool(),
            torch.zeros_like(change),
        )
        window[..., rows[0], columns[0]], other[..., rows[1], columns[1]] = True, True
        pattern[..., rows[0], columns[0]] = two_hills(3) * torch.tensor([1.0, -1.0, 1.0]).view(3, 1, 1)
        found = moved(change, 0.5, window, other, pattern)
        assert found.norm().item() == pytest.approx(0.5, abs=1e-12)
        unused, expected = 0.25 - float(change.square().sum()), change.clone()
        for channel in range(3):
            before = change[0, channel]
            union = window[0, 0] | other[0, 0]
            available = (before[union].square().sum() + unused / 3).sqrt()
            own = before[rows[0], columns[0]]
            towards = pattern[0, channel, rows[0], columns[0]] + own / own.norm()
            expected[0, channel, rows[1], columns[1]] = 0
            expected[0, channel, rows[0], columns[0]] = towards / towards.norm() * available
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_every_query_has_norm_eps_and_the_margin_never_rises() -> None:
    victim = Seen(Linear(classes=3, size=8))
    batch = batch_for(victim, images(1, margin=0.3))
    problem = problem_within(0.05, victim, batch)  # too little to fall or to leave [0, 1]
    victim.queries.clear()
    final = run(problem, 80)
    queries = torch.cat(victim.queries)
    assert len(queries) == 81
    assert torch.allclose(sizes(queries - batch.images), torch.full((81,), 0.05, dtype=torch.float64), atol=1e-12)
    leads = margin(victim.victim(queries), batch.labels.expand(81))
    best, places = 0, set()
    for number in range(1, 81):
        outside = (queries[number] != queries[best]) & (queries[number] != batch.images[0])  # in the first square
        rows, columns = (outside.any(dim=0).any(dim=1 - axis).nonzero() for axis in (0, 1))
        side = square_side(number - 1, 8, 8, in_ball=True)
        assert int(rows.max() - rows.min()) < side
        assert int(columns.max() - columns.min()) < side
        places.add((int(rows.min()), int(columns.min())))
        best = number if leads[number] < leads[best] else best
    assert torch.equal(final[0], queries[best])
    assert leads[best] < leads[0] - 0.01
    assert len(places) > 10
    assert not victim.differentiates


def test_stays_in_the_ball_the_range_and_the_mask() -> None:
    victim = Gated()
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2:6, 1:4] = True
    batch = batch_for(victim, images(6))
    for single in (False, True):
        network, x = (victim.float(), batch.images.float()) if single else (victim, batch.images)
        for pixels in (None, mask):
            found = run(problem_within(1.5, network, batch._replace(images=x), pixels), 60)
            change = found - x
            assert float(sizes(change.double()).max()) <= 1.5 + 1e-6
            assert float(sizes(change).max()) > 1.0
            assert float(found.min()) >= 0
            assert float(found.max()) <= 1
            assert pixels is None or not bool(change.masked_select(~mask).any())


def test_a_batch_is_nothing_but_its_samples() -> None:
    victim = Gated()
    batch = batch_for(victim, images(8))
    together = run(problem_within(1.0, victim, batch), 60)
    for rows in ([4], [7, 2], [5, 3, 1, 0, 6]):
        alone = run(problem_within(1.0, victim, only(batch, rows)), 60)
        assert torch.allclose(alone, together[rows], rtol=0, atol=1e-12)


def test_fells_most_of_what_can_fall() -> None:
    victim = Linear(classes=2, size=4).requires_grad_(False)
    batch = batch_for(victim, images(24, size=4, margin=0.3))
    distance = victim(batch.images).diff(dim=1).abs().squeeze(1) / victim.layer.weight.diff(dim=0).norm()
    eps = float(distance.median())
    attack = AutoAttack(L2Ball(eps), members=["square"], queries=400)
    felled = attacked(attack, victim, batch).felled_by
    fell = torch.tensor([name in felled for name in batch.ids])
    assert not bool((fell & (distance > eps + 1e-9)).any())
    assert bool(fell[distance < 0.45 * eps].all())
    assert int(fell.sum()) >= 6
    assert set(felled.values()) == {"square"}
