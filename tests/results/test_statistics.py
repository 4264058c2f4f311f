"""Arms against their baseline: scipy's bootstrap and a p-value computed by hand are the oracles."""

import itertools
import logging
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from finished_cells import finished, image_rows, scene_rows
from scipy import stats

from lgm_bench.evaluation.store.store import ROWS
from lgm_bench.metrics.iou import iou_counts, mean_iou
from lgm_bench.results.comparisons import comparison_grid, comparisons_as_json
from lgm_bench.results.formats import grid_to_latex, grid_to_markdown
from lgm_bench.results.frame import frame_of
from lgm_bench.results.reading import read_results
from lgm_bench.results.statistics import bootstrap, compare_arms, holm, mcnemar, sign_flip

FGM, LGM = {"gradient": "fgm"}, {"gradient": "lgm", "slope": 5.0}
RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize(("first", "second"), [(1, 8), (8, 1), (0, 3), (40, 17), (5, 5)])
def test_mcnemar_is_twice_the_smaller_binomial_tail(first: int, second: int) -> None:
    tail = sum(math.comb(first + second, k) for k in range(min(first, second) + 1)) / 2 ** (first + second)
    assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail), rel=1e-12)


def test_an_image_counts_once_under_each_gradient(tmp_path: Path) -> None:
    fgm, lgm = RANDOM.random(200) < 0.4, RANDOM.random(200) < 0.6
    results = [finished(tmp_path, "aa", image_rows(fgm), FGM), finished(tmp_path, "bb", image_rows(lgm), LGM)]
    (one,) = compare_arms(frame_of(results, tmp_path))
    assert (one.metric.name, one.n_samples, one.baseline["fingerprint"], one.arm["fingerprint"]) == (
        "accuracy",
        200,
        "aa",
        "bb",
    )
    assert (one.baseline_value, one.arm_value) == pytest.approx(((~fgm).mean(), (~lgm).mean()))
    assert (one.only_baseline, one.only_arm) == ((fgm & ~lgm).sum(), (lgm & ~fgm).sum())
    assert one.p_value == stats.binomtest(int((fgm & ~lgm).sum()), int((fgm ^ lgm).sum())).pvalue
    oracle = stats.bootstrap(
        ((~fgm).astype(float), (~lgm).astype(float)),
        lambda x, y, axis: y.mean(axis) - x.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=10_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert one.interval == pytest.approx(tuple(oracle), abs=0.006)  # a sample is 0.005
    assert one.difference == pytest.approx(one.arm_value - one.baseline_value)
    assert compare_arms(frame_of(results, tmp_path))[0] == one


def test_scenes_are_resampled_with_both_their_matrices(tmp_path: Path) -> None:
    """The oracle adds up the matrices of the scenes that scipy draws, and takes the mIoU of each sum."""
    fgm, lgm = RANDOM.integers(0, 30, (2, 12, 4, 4)) + 60 * np.eye(4, dtype=int) * np.array([1, 0])[:, None, None, None]
    fgm[:, 3] = fgm[:, :, 3] = lgm[:, 3] = lgm[:, :, 3] = 0  # one class occurs nowhere
    fgm[0, 3, 3] = lgm[0, 3, 3] = 5  # but in one scene, so that resamples differ in how many there are
    rows = [scene_rows(matrices, ignored=(0,)) for matrices in (fgm, lgm)]
    results = [finished(tmp_path, "aa", rows[0], FGM), finished(tmp_path, "bb", rows[1], LGM)]
    (one,) = compare_arms(frame_of(results, tmp_path))

    def difference(chosen: np.ndarray) -> float:
        miou = [float(mean_iou(*iou_counts(matrices[chosen].sum(0), (0,)))) for matrices in (fgm, lgm)]
        return miou[1] - miou[0]

    oracle = stats.bootstrap(
        (np.arange(12),), difference, vectorized=False, method="percentile", n_resamples=3000,
        rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    assert one.difference == pytest.approx(difference(np.arange(12)), abs=1e-12)
    assert one.difference == pytest.approx(one.arm_value - one.baseline_value, abs=1e-12)
    assert one.interval == pytest.approx(tuple(oracle), abs=0.006)
    assert (one.metric.name, one.only_baseline, one.test) == ("miou", None, "sign-flip")
    assert one.p_value == pytest.approx(swapping_by_hand(fgm, lgm, (0,)), abs=1e-12)


def swapping_by_hand(first: np.ndarray, second: np.ndarray, ignored: tuple[int, ...]) -> float:
    """Share of all swaps of scenes between two arms that make the mIoUs differ at least as much as they do."""

    def size(swaps: tuple[bool, ...]) -> float:
        chosen = np.array(swaps)[:, None, None]
        pair = np.where(chosen, second, first), np.where(chosen, first, second)
        one, other = (float(mean_iou(*iou_counts(matrices.sum(0), ignored))) for matrices in pair)
        return abs(one - other)

    sizes = [size(swaps) for swaps in itertools.product((False, True), repeat=len(first))]
    return float(np.mean([one >= sizes[0] - 1e-12 for one in sizes]))


def test_swapping_many_samples_at_random_agrees_with_scipy() -> None:
    first, second = RANDOM.normal(0, 1, (2, 40, 1)) + np.array([0, 0.35])[:, None, None]
    oracle = stats.permutation_test(
        ((second - first)[:, 0],), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True,
        n_resamples=10_000, rng=np.random.default_rng(5),
    ).pvalue  # fmt: skip
    assert sign_flip(first, second, lambda sums: sums[..., 0]) == pytest.approx(oracle, abs=0.01)
    assert sign_flip(first, first + 1, lambda sums: sums[..., 0]) == pytest.approx(1 / 10_001)


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03, 0.005], [0.6, 0.5], [0.2], []])
def test_holm_is_its_definition(p_values: list[float]) -> None:
    """A hypothesis is rejected at the corrected p-value if all smaller ones are and it passes alpha / (those left)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    wanted = {
        place: min(1.0, max((len(order) - k) * p_values[order[k]] for k in range(rank + 1)))
        for rank, place in enumerate(order)
    }
    assert holm([*p_values, None]) == pytest.approx([wanted[place] for place in range(len(p_values))] + [None])


def test_the_targets_of_an_image_go_together(tmp_path: Path) -> None:
    attacked = RANDOM.random((3, 60)) < 0.9
    fell = {name: np.tile(RANDOM.random(60) < share, (3, 1)) for name, share in (("fgm", 0.3), ("lgm", 0.6))}
    results = []
    for name, changes in (("fgm", FGM), ("lgm", LGM)):
        parts = [image_rows(fell[name][t], target=t, attacked=attacked[t]) for t in range(3)]
        rows = pa.concat_tables(parts).sort_by([("id", "ascending"), ("target", "ascending")])
        results.append(finished(tmp_path, name, rows, {**changes, "targeted": True}))
    (one,) = compare_arms(frame_of(results, tmp_path))
    success = {name: (values & attacked).sum() / attacked.sum() for name, values in fell.items()}
    assert (one.metric.name, one.n_samples, one.test) == ("success_rate", 60, "sign-flip")
    assert one.difference == pytest.approx(success["lgm"] - success["fgm"])
    assert one.only_arm == (fell["lgm"] & ~fell["fgm"] & attacked).sum()

    def ratio(chosen: np.ndarray) -> float:
        tried = attacked[:, chosen]
        return float(((fell["lgm"][:, chosen] & tried).sum() - (fell["fgm"][:, chosen] & tried).sum()) / tried.sum())

    oracle = stats.bootstrap(
        (np.arange(60),), ratio, vectorized=False, method="percentile", n_resamples=3000,
        rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    assert one.interval == pytest.approx(tuple(oracle), abs=0.02)
    by_image = (fell["lgm"] & attacked).sum(0) - (fell["fgm"] & attacked).sum(0).astype(int)
    swapped = stats.permutation_test(
        (by_image,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True,
        n_resamples=10_000, rng=np.random.default_rng(6),
    ).pvalue  # fmt: skip
    assert one.p_value == pytest.approx(swapped, abs=0.01)
    text = grid_to_markdown(comparison_grid([one]))
    assert "several targets" in text
    assert "stronger attack above 0 of success rate" in text
    assert "below 0" not in text


def test_few_scenes_get_words_in_place_of_an_interval(tmp_path: Path) -> None:
    rows = [scene_rows(RANDOM.integers(0, 30, (3, 4, 4))) for _ in range(2)]
    results = [
        finished(tmp_path, "aa", rows[0], {**FGM, "data": "s3dis"}),
        finished(tmp_path, "bb", rows[1], {**LGM, "data": "s3dis"}),
    ]
    found = compare_arms(frame_of(results, tmp_path))
    assert (found[0].interval, found[0].p_holm, found[0].note) == (None, None, "too few samples")
    assert found[0].verdict == "undecided"
    text = grid_to_markdown(comparison_grid(found))
    assert "Too few samples to say how certain the difference is: s3dis (3)" in text
    assert "bootstrap" not in text


def test_samples_that_are_all_alike_show_no_spread(tmp_path: Path) -> None:
    """Zero width is what resampling gives, and would be read as certainty."""
    results = [
        finished(tmp_path, "aa", image_rows([False] * 20), FGM),
        finished(tmp_path, "bb", image_rows([True] * 20), LGM),
    ]
    (one,) = compare_arms(frame_of(results, tmp_path))
    assert (one.difference, one.interval, one.note) == (-1.0, None, "all samples alike")
    assert one.p_value == pytest.approx(2 / 2**20)


def test_only_the_gradient_may_differ(tmp_path: Path) -> None:
    rows = image_rows([True, False] * 5)
    base = finished(tmp_path, "aa", rows, FGM)
    others = [{"eps": 2.0}, {"seed": 1}, {"attack": "bim"}, {"targeted": True}, {"victim": "skipnet38-cifar10"}]
    alone = [finished(tmp_path, f"x{n}", rows, {**LGM, **changes}) for n, changes in enumerate(others)]
    alone += [finished(tmp_path, "yy", rows, {**LGM, "seed": 0}, checkpoint_sha256="11")]
    pairs = [
        finished(tmp_path, f"{name}{slope}", rows, {"gradient": name, "slope": slope})
        for slope, name in itertools.product((1.0, 2.0), ("lgm", "straight-through"))
    ]
    found = compare_arms(frame_of([*alone, base, *pairs], tmp_path))
    assert [one.arm["fingerprint"] for one in found] == [one.fingerprint for one in pairs]
    assert {one.baseline["fingerprint"] for one in found} == {"aa"}


def test_of_several_baselines_the_one_with_the_same_steps_counts_else_any(tmp_path: Path) -> None:
    rows = image_rows([True, False] * 5)
    baselines = [finished(tmp_path, f"b{steps}", rows, {**FGM, "steps": steps, "step": 1.0}) for steps in (10, 20)]
    leaded = [finished(tmp_path, f"s{steps}", rows, {**LGM, "steps": steps, "step": 1.0}) for steps in (20, 10)]
    found = compare_arms(frame_of([*baselines, *leaded], tmp_path))
    assert [one.baseline["fingerprint"] for one in found] == ["b20", "b10"]
    released = finished(tmp_path, "s50", rows, {**LGM, "steps": 50, "step": 0.5})
    (one,) = compare_arms(frame_of([baselines[0], released], tmp_path))
    assert (one.baseline["fingerprint"], one.arm["fingerprint"]) == ("b10", "s50")
    differences = "(baseline, arm): dynconv8-cifar10 step 1, 0.5; dynconv8-cifar10 steps 10, 50."
    assert differences in grid_to_markdown(comparison_grid([one]))
    assert "more than the gradient" not in grid_to_markdown(comparison_grid(found))


def test_damaged_rows_are_named_and_leave_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = image_rows([True, False] * 5)
    results = [finished(tmp_path, "aa", rows, FGM)]
    results += [finished(tmp_path, f"b{slope}", rows, {**LGM, "slope": slope}) for slope in (1.0, 2.0)]
    damaged = next(tmp_path.glob(f"*-b1.0/{ROWS}"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    with caplog.at_level(logging.WARNING):
        found = compare_arms(frame_of(results, tmp_path))
    assert [one.arm["slope"] for one in found] == [2.0]
    assert str(damaged) in caplog.text


def test_other_samples_are_not_compared(tmp_path: Path) -> None:
    results = [
        finished(tmp_path, "aa", image_rows([True] * 5), FGM),
        finished(tmp_path, "bb", image_rows([True] * 6), LGM),
    ]
    assert compare_arms(frame_of(results, tmp_path)) == []


def test_a_bootstrap_without_any_value_is_none() -> None:
    assert bootstrap(np.ones((6, 2)), lambda sums: np.full(sums.shape[:-1], np.nan)) is None


def test_the_table_has_the_same_numbers_in_all_forms(tmp_path: Path) -> None:
    fgm, lgm = [False] * 8 + [True] * 2, [True] * 6 + [False] * 2 + [True] * 2
    results = [finished(tmp_path, "aa", image_rows(fgm), FGM), finished(tmp_path, "bb", image_rows(lgm), LGM)]
    found = compare_arms(frame_of(results, tmp_path))
    row = "| dynconv8-cifar10 fgsm eps 1 (2/255) | LGM slope 5 | accuracy | 10 | 80.00 | 20.00 | -60.00 |"
    assert row in grid_to_markdown(comparison_grid(found))
    assert "| 0 | 6 | 0.031 | 0.031 |" in grid_to_markdown(comparison_grid(found))
    assert r"accuracy & 10 & 80.00 & 20.00 & -60.00 &" in grid_to_latex(comparison_grid(found))
    (plain,) = comparisons_as_json(found)
    assert (plain["baseline"], plain["arm"], plain["only_arm"], plain["p_value"]) == ("aa", "bb", 6, 0.03125)


def test_every_arm_is_compared_with_the_baseline_and_all_are_corrected_together(tmp_path: Path) -> None:
    fell = {"fgm": [False] * 30, "lgm": [True] * 12 + [False] * 18, "soft": [True] * 5 + [False] * 25}
    results = [
        finished(tmp_path, name, image_rows(values), {"gradient": name, "slope": None if name == "fgm" else 5.0})
        for name, values in fell.items()
    ]
    found = compare_arms(frame_of(results, tmp_path))
    assert [(one.baseline["fingerprint"], one.arm["fingerprint"]) for one in found] == [("fgm", "lgm"), ("fgm", "soft")]
    assert [one.p_holm for one in found] == pytest.approx([2 * 2 / 2**12, 2 / 2**5])
    assert [one.verdict for one in found] == ["stronger", "undecided"]
    text = grid_to_markdown(comparison_grid(found))
    assert (
        "LGM is significantly stronger than FGM in 1, weaker in 0, undecided in 0 comparisons of accuracy (Holm, 5%)."
        in text
    )
    assert (
        "soft is significantly stronger than FGM in 0, weaker in 0, undecided in 1 comparison of accuracy (Holm, 5%)."
        in text
    )
    assert "| FGM | arm | arm - FGM |" in text
    for name, values in fell.items():
        of = {"gradient": name, "slope": None if name == "fgm" else 5.0, "baseline": "lgm"}
        finished(tmp_path / "suite", name, image_rows(values), of)
    recorded = read_results(tmp_path / "suite")
    assert [one.result.fingerprint for one in recorded] == ["lgm", "fgm", "soft"]
    named = compare_arms(frame_of([one.result for one in recorded], tmp_path / "suite"))
    assert [(one.arm["fingerprint"], one.verdict) for one in named] == [("fgm", "weaker"), ("soft", "weaker")]
    assert [one.arm["fingerprint"] for one in compare_arms(frame_of(results[1:], tmp_path))] == ["soft"]
