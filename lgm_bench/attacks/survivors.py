"""The samples of an attack that have not fallen yet."""

import torch
from torch import Tensor

from lgm_bench.attacks.problem import Problem


class Survivors:
    """The samples that have not fallen yet, with the state of an attack on them and the result on all samples.

    Args:
        problem: All samples, B of them.
        result: Values (B, ...) to return for samples that `keep` never names.
        state: Tensors by name, each with the samples as its first dimension.

    Attributes:
        problem: The surviving samples, B' of them.
        result: Values of all samples, (B, ...).
        state: State of the surviving samples.
    """

    def __init__(self, problem: Problem, result: Tensor, state: dict[str, Tensor]) -> None:
        self.problem, self.result, self.state = problem, result.clone(), state
        self._index = torch.arange(len(result), device=result.device)

    def __len__(self) -> int:
        return len(self._index)

    def keep(self, values: Tensor, chosen: Tensor | slice = slice(None)) -> None:
        """Make values (B', ...) the result of the chosen survivors, (B',) bool."""
        self.result[self._index[chosen]] = values[chosen]

    def drop(self, fallen: Tensor) -> None:
        """Remove the samples that have fallen, (B',) bool."""
        if bool(fallen.any()):
            self._index, self.problem = self._index[~fallen], self.problem.select(~fallen)
            self.state = {name: values[~fallen] for name, values in self.state.items()}
