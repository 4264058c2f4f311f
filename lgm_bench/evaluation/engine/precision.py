"""In what floating point numbers victims compute; less than single precision is not for sign attacks."""

from collections.abc import Iterable

from lgm_bench.errors import ConfigError, UnknownNameError
from lgm_bench.evaluation.cells.cell import NO_GRADIENT, Cell

SINGLE = "32-true"
RECORDED = {
    SINGLE: "float32",
    "64-true": "float64",
    "16-true": "float16",
    "bf16-true": "bfloat16",
    "16-mixed": "float16-mixed",
    "bf16-mixed": "bfloat16-mixed",
}
"""What records call Lightning's names for precisions."""

_SHORT = {"32": SINGLE, "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def checked_precision(precision: str | int, cells: Iterable[Cell], *, force: bool = False) -> str:
    """Return Lightning's full name of a precision that the cells may be run in.

    Raises:
        UnknownNameError: There is no such precision.
        ConfigError: It is too low for an attack that follows signs, and not forced.
    """
    name = _SHORT.get(str(precision), str(precision))
    if name not in RECORDED:
        raise UnknownNameError("precision", str(precision), [*_SHORT, *RECORDED])
    signed = next((cell.attack.name for cell in cells if cell.gradient.name != NO_GRADIENT), None)
    if name not in (SINGLE, "64-true") and signed is not None and not force:
        raise ConfigError(
            f"precision {precision} is refused for {signed!r}: sign attacks step by the sign of a gradient, most of "
            "which is rounding where a network is sure of itself, so that lower precision makes attacks weaker and "
            "networks look robust that are not; take --precision 32 or 64, or --force-precision to do it all the same "
            "(the record says so)"
        )
    return name
