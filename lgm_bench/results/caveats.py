"""Reasons to doubt the numbers of a record, as short phrases for the notes below a table."""

import itertools
from collections.abc import Iterable, Sequence

from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell
from lgm_bench.evaluation.cells.units import true_text
from lgm_bench.evaluation.store.record import CellResult, Checks
from lgm_bench.evaluation.wording import gradient_name
from lgm_bench.results.reading import Line, alike
from lgm_bench.tasks.base import task_named

ZERO_GRADIENT = 0.5
"""Largest share of an input gradient that may be exactly 0."""
TUNED_TO_EPS = ("eps", "step", "slope", "input_slope", "output_slope", "floor_slope")
INVARIANCE = {"float32": 1e-4, "float64": 1e-9}
"""Largest difference of a logit between batches due to rounding, relative to the largest logit, by precision."""
SATURATED = 0.9
"""Largest share of the occupancies that may have no derivative."""
WEAKER = 0.98
"""Smallest loss of an attack with twice the steps, relative to the attack's own loss."""
LEFT_AT_LARGE_EPS = 0.1
"""Largest accuracy that may remain at a large eps."""
RISE = 0.01
"""How much higher accuracy or mIoU may be at a larger eps than at a smaller one."""


def caveats(result: CellResult) -> list[str]:
    """Return one phrase per reason to doubt a result."""
    checks = result.checks
    phrases = []
    if not checks.deterministic:
        phrases.append("a second pass over the same input gave other gradients")
    if checks.batch_invariance > INVARIANCE.get(result.precision, 1.0):
        phrases.append(f"logits depend on the batch (by {checks.batch_invariance:.1e} of the largest)")
    if not checks.within_bounds:
        phrases.append("adversarial samples are out of bounds")
    if checks.zero_gradient_share > ZERO_GRADIENT and result.cell.gradient.name != NO_GRADIENT:
        phrases.append(f"{checks.zero_gradient_share:.0%} of the input gradient is exactly 0")
    if checks.saturated_occupancies is not None and checks.saturated_occupancies > SATURATED:
        phrases.append(
            f"{checks.saturated_occupancies:.0%} of the occupancies have no derivative at slope "
            f"{result.cell.gradient.slope_text}; a smaller slope may give a stronger attack"
        )
    if checks.units and checks.constant_units == checks.units:
        phrases.append(f"each of the {checks.units} adaptive units decides the same for all checked samples")
    phrases += _signs_of_masking(result.cell, checks)
    if result.precision not in INVARIANCE:
        phrases.append(f"computed in {result.precision}, in which rounding decides signs")
    if result.trained_on not in (None, result.cell.data.name):
        phrases.append(f"the weights were trained on {result.trained_on}, not on {result.cell.data.name}")
    if result.n_attacked == 0:
        phrases.append("no sample was attacked")
    return phrases


def caveats_across(lines: Iterable[Line]) -> list[str]:
    """Return one phrase per pair of results in which the larger eps leaves a higher accuracy or mIoU."""
    phrases = []
    for same in alike((line for line in lines if not line["targeted"]), *TUNED_TO_EPS):
        if same[0]["attack"] in ("fgsm", "random"):  # one step may overshoot, and a random one need not hit
            continue
        task = task_named(same[0]["task"])
        for small, large in itertools.pairwise(sorted(same, key=lambda line: line["eps"])):
            before, after = small[task.main], large[task.main]
            if large["eps"] > small["eps"] and None not in (before, after) and after > before + RISE:
                name = f"{large['victim']} {large['attack']} {gradient_name(large['gradient'])}"
                phrases.append(
                    f"{name} leaves more at eps {large['eps_label']} ({after:.1%}) than at {small['eps_label']} "
                    f"({before:.1%})"
                )
    return phrases


def caveat_notes(lines: Sequence[Line]) -> list[str]:
    """Return the caveats of all cells as notes below a table, each with the cells that share it."""
    named: dict[str, list[str]] = {}
    for line in lines:
        for caveat in line["caveats"]:
            cell = f"{line['victim']} {line['attack']} eps {line['eps_label']} {gradient_name(line['gradient'])}"
            named.setdefault(caveat, []).append(cell)
    notes = [f"Note: {caveat} ({_few(list(dict.fromkeys(cells)))})." for caveat, cells in named.items()]
    return notes + [f"Note: {caveat}." for caveat in caveats_across(lines)]


def _few(names: Sequence[str], most: int = 3) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _signs_of_masking(cell: Cell, checks: Checks) -> list[str]:
    phrases = []
    once, twice, left = checks.loss_of_the_steps, checks.loss_of_twice_the_steps, checks.accuracy_at_large_eps
    if once is not None and twice is not None and twice < WEAKER * once:
        phrases.append(
            f"twice the steps are weaker: loss {twice:.2f} instead of {once:.2f}, a sign of gradient masking"
        )
    if left is not None and left > LEFT_AT_LARGE_EPS:
        phrases.append(
            f"at eps {true_text(cell, checks.large_eps or 0)}, {left:.0%} of {checks.masking_samples} samples are "
            "still right, a sign of gradient masking"
        )
    return phrases
