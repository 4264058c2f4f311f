"""What in a record speaks against its numbers, in words short enough for the foot of a table."""

import itertools
from collections.abc import Iterable, Sequence

from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.units import eps_text, true_text
from lgm_bench.evaluation.store.record import CellResult, Checks
from lgm_bench.evaluation.wording import gradient_name

ZERO_GRADIENT = 0.5
TUNED_TO_EPS = ("attack.eps", "attack.step", *(f"gradient.{name}slope" for name in ("", "input_", "output_", "floor_")))
INVARIANCE = {"float32": 1e-4, "float64": 1e-9}
SATURATED = 0.9
WEAKER = 0.98
LEFT_AT_LARGE_EPS = 0.1
RISE = 0.01
"""From these shares on something is worth a word: of gradients that are 0, of occupancies without a derivative, of the
loss that twice the steps reach, of what a large eps leaves, and by which a larger eps leaves more."""


def caveats(result: CellResult) -> list[str]:
    """Return what is suspicious about a result, a phrase each; none for one that is as it should be."""
    checks = result.checks
    found = []
    if not checks.deterministic:
        found.append("the same input gave other gradients a second time")
    if checks.batch_invariance > INVARIANCE.get(result.precision, 1.0):
        found.append(f"logits depend on the batch (by {checks.batch_invariance:.1e} of the largest)")
    if not checks.within_bounds:
        found.append("adversarial samples left their bounds")
    if checks.zero_gradient_share > ZERO_GRADIENT and result.cell.gradient.name != NO_GRADIENT:
        found.append(f"{checks.zero_gradient_share:.0%} of the input gradient is exactly 0")
    if checks.saturated_occupancies is not None and checks.saturated_occupancies > SATURATED:
        found.append(f"{checks.saturated_occupancies:.0%} of the occupancies have no derivative at slope "
                     f"{result.cell.gradient.slope_text}; a smaller one may be stronger")  # fmt: skip
    if checks.units and checks.constant_units == checks.units:
        found.append(f"none of the {checks.units} adaptive units decides differently for any sample looked at")
    found += _signs_of_masking(result.cell, checks)
    if result.precision not in INVARIANCE:
        found.append(f"computed in {result.precision}, which decides signs by rounding")
    if result.n_attacked == 0:
        found.append("nothing was attacked")
    return found


def caveats_across(results: Sequence[CellResult]) -> list[str]:
    """Return what is suspicious about results beside each other: a larger eps that leaves more."""
    rows: dict[Cell, list[CellResult]] = {}
    for result in results:
        rows.setdefault(result.cell.without(*TUNED_TO_EPS, "paper"), []).append(result)
    found = []
    for alike, same in rows.items():
        if alike.attack.name in ("fgsm", "random"):  # one step may overshoot, and a random one need not hit
            continue
        for small, large in _neighbours(same):
            if large.left > small.left + RISE and not large.cell.attack.targeted:
                name = f"{alike.victim.name} {alike.attack.name} {gradient_name(alike.gradient.name)}"
                found.append(
                    f"{name} leaves more at eps {eps_text(large.cell)} ({large.left:.1%}) than at "
                    f"{eps_text(small.cell)} ({small.left:.1%})"
                )
    return found


def caveat_notes(results: Sequence[CellResult]) -> list[str]:
    """Return one sentence a caveat for the notes of a table, the cells that share it named together."""
    named: dict[str, list[str]] = {}
    for result in results:
        for caveat in caveats(result):
            named.setdefault(caveat, []).append(_name(result))
    notes = [f"Note: {caveat} ({_few(dict.fromkeys(names))})." for caveat, names in named.items()]
    return notes + [f"Note: {caveat}." for caveat in caveats_across(results)]


def _signs_of_masking(cell: Cell, checks: Checks) -> list[str]:
    found = []
    once, twice, left = checks.loss_of_the_steps, checks.loss_of_twice_the_steps, checks.accuracy_at_large_eps
    if once is not None and twice is not None and twice < WEAKER * once:
        found.append(f"twice the steps are weaker: loss {twice:.2f} in place of {once:.2f}, a sign of gradient masking")
    if left is not None and left > LEFT_AT_LARGE_EPS:
        found.append(
            f"eps {true_text(cell, checks.large_eps or 0)} leaves {left:.0%} of {checks.masking_samples} samples "
            "right, a sign of gradient masking"
        )
    return found


def _neighbours(results: Sequence[CellResult]) -> Iterable[tuple[CellResult, CellResult]]:
    ordered = sorted(results, key=lambda result: result.cell.attack.eps)
    return (
        (small, large) for small, large in itertools.pairwise(ordered) if small.cell.attack.eps < large.cell.attack.eps
    )


def _name(result: CellResult) -> str:
    cell = result.cell
    return f"{cell.victim.name} {cell.attack.name} eps {eps_text(cell)} {gradient_name(cell.gradient.name)}"


def _few(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
