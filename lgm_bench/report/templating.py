"""The page's templates."""

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """Return the templates of the report; whatever they insert is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("lgm_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(macro: str, **values: Any) -> Markup:
    """Return the markup of a macro in examples.html.j2."""
    made: Markup = getattr(environment().get_template("examples.html.j2").module, macro)(**values)
    return made
