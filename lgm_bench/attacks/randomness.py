"""Random numbers that belong to a sample and not to its batch."""

import hashlib

import torch


def sample_generator(seed: int, sample_id: str, attack: str) -> torch.Generator:
    """Return the CPU generator of one sample in one attack.

    It depends on nothing else, so batch size, order, number of processes and device do not change what it draws.

    Args:
        seed: Seed of the run.
        sample_id: Stable id of the sample in its data set.
        attack: Name of the attack; two attacks draw different numbers.

    >>> import torch
    >>> draw = [float(torch.rand((), generator=sample_generator(0, "test-00042", "pgd"))) for _ in range(2)]
    >>> draw[0] == draw[1]
    True
    """
    digest = hashlib.sha256(f"{seed}\0{attack}\0{sample_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))  # CPU generators use 32 bits of a seed
