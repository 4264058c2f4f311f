"""Views of finished cells. `lgm_bench.results("results/mini")` returns them as a table, see `frame.results`."""

import sys
from types import ModuleType
from typing import Any


class _Results(ModuleType):
    """This package, made callable so that `lgm_bench.results(folder)` works in a notebook."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the table of a results folder, see `frame.results`."""
        from lgm_bench.results.frame import results

        return results(*args, **kwargs)


sys.modules[__name__].__class__ = _Results
