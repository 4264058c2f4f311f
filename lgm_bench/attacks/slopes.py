"""The slopes lambda of the leaded gradient that the released runs used (Tao et al. 2024, Eq. 15 and 19)."""

from lgm_bench.errors import ConfigError, did_you_mean

SINGLE_STEP = {
    ("skipnet", "cifar10"): {1: 0.5, 2: 0.3, 4: 0.2, 8: 0.2},
    ("dynconv", "cifar10"): {1: 0.5, 2: 0.2, 4: 0.1, 8: 0.0001},
    ("skipnet", "imagenet"): {1: 0.3, 2: 0.005, 4: 0.005, 8: 0.0025, 16: 0.0001},
    ("dynconv", "imagenet"): {1: 5.0, 2: 0.05, 4: 0.005, 8: 0.001, 16: 0.001},
}
"""By (family, data set), then eps in 1/255: the slopes of FGSM."""

ITERATIVE = {
    ("skipnet", "cifar10"): {"bim": 5.0, "pgd": 5.0, "cw": 35.0, "autopgd": 5.0, "autoattack": 5.0},
    ("dynconv", "cifar10"): {"bim": 10.0, "pgd": 10.0, "cw": 45.0, "autopgd": 10.0, "autoattack": 10.0},
}
"""By (family, data set), then attack: found at eps 8 with 5 % of the pixels, and taken for every eps and share.

`autoattack`, the ensemble, did not take part in the released runs; it takes the slope of their "AutoAttack", which is
`autopgd`.
"""

ITERATIVE_TARGETED = {("skipnet", "cifar10"): {"cw": 30.0}}
"""Targeted attacks with a slope of their own; the others take the untargeted one's."""

_REMEDY = "give one (--slope, slopes: in YAML), such as one found by lgm-bench search"


def default_slope(victim: str, attack: str, eps: float, targeted: bool) -> float:
    """Return the slope that the released runs used.

    Args:
        victim: Victim name such as "skipnet110-cifar10"; the family and the data set in it count.
        attack: Registered attack name.
        eps: In 1/255.
        targeted: Whether the attack wants certain classes.

    Raises:
        ConfigError: The released runs had no such cell, so a slope must be given.

    >>> default_slope("skipnet110-cifar10", "cw", 8, targeted=True)
    30.0
    >>> default_slope("dynconv101-imagenet", "fgsm", 2, targeted=False)
    0.05
    """
    known = (_family(victim), victim.rpartition("-")[2])
    if ":" in victim or known not in SINGLE_STEP:
        raise ConfigError(f"victim {victim!r} has no released slope of the leaded gradient for {attack}; {_REMEDY}")
    if attack == "fgsm":
        return _single_step(victim, SINGLE_STEP[known], eps)
    slopes = dict(ITERATIVE.get(known, {}))
    if targeted:
        slopes |= ITERATIVE_TARGETED.get(known, {})
    if attack not in slopes:
        near = did_you_mean(attack, ["fgsm", *slopes])
        raise ConfigError(f"no slope was released for {attack!r} on {victim!r}{near}; {_REMEDY}")
    return slopes[attack]


def _single_step(victim: str, slopes: dict[int, float], eps: float) -> float:
    if eps in slopes:
        return slopes[int(eps)]
    released = ", ".join(f"{width}" for width in slopes)
    raise ConfigError(f"no slope was released for 'fgsm' on {victim!r} at eps {eps:g} (only {released}); {_REMEDY}")


def _family(victim: str) -> str:
    return victim.partition("-")[0].rstrip("0123456789")
