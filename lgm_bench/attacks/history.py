"""What the hard network makes of an attack's iterates, one by one (Tao et al. 2024, Fig. 9)."""

from collections.abc import Sequence

from torch import Tensor


class History:
    """Which iterates between the first and the last are where the attack wants them, by sample.

    An attack that follows the hard network's own logits has this for nothing; a leaded one with a soft forward pass
    takes a forward pass of the hard network for every iterate. What becomes of the samples does not change.

    Attributes:
        reached: By sample id, one bool for each iteration but the last, in order; fewer where an active set left the
            sample alone on the way.
    """

    def __init__(self) -> None:
        self.reached: dict[str, list[bool]] = {}

    def judged(self, ids: Sequence[str], reached: Tensor) -> None:
        """Take the verdict (B,) bool about the current iterate of each sample."""
        for sample_id, value in zip(ids, reached.tolist(), strict=True):
            self.reached.setdefault(sample_id, []).append(value)

    def whole(self, sample_id: str, clean: bool, last: bool, steps: int) -> list[bool]:
        """Return a sample's verdicts after 0, 1, ... `steps` iterations.

        Args:
            sample_id: The sample.
            clean: The verdict about the clean sample.
            last: That about what the attack handed back, and so about all iterates since a sample was left alone.
            steps: Iterations of the attack.
        """
        found = self.reached.get(sample_id, [])
        return [clean, *found, *[last] * (steps - len(found))]
