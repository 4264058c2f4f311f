"""What commands answer, for tests of the command line."""

import json
from collections.abc import Callable
from typing import Any

TINY = "tiny_cifar10:TinyCIFAR10"


class Answer:
    """What a command printed, and the code that it left with."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Answer]
