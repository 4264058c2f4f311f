"""Attacks, each following whichever gradient method it is given."""

from typing import Any

from lgm_bench.registry import resolve

IMAGE_ATTACKS = {
    "fgsm": "lgm_bench.attacks.fgsm:FGSM",
    "bim": "lgm_bench.attacks.bim:BIM",
    "pgd": "lgm_bench.attacks.pgd:PGD",
    "cw": "lgm_bench.attacks.carlini_wagner:CarliniWagner",
    "autopgd": "lgm_bench.attacks.autopgd:AutoPGD",
    "autoattack": "lgm_bench.attacks.autoattack:AutoAttack",
}
POINT_ATTACKS = {
    "random": "lgm_bench.attacks.random_perturbation:RandomPerturbation",
    "pointbim": "lgm_bench.attacks.pointbim:PointBIM",
    "pointpert": "lgm_bench.attacks.pointpert:PointPert",
    "knnpert": "lgm_bench.attacks.knnpert:KNNPert",
}
ATTACKS = {**IMAGE_ATTACKS, **POINT_ATTACKS}
"""By registered name; a class tells by `inputs` what it attacks, "images" or "points"."""
GRADIENT_FREE = frozenset({"random"})
"""Attacks that follow no gradient."""
_CLASSES = {target.partition(":")[2]: target for target in ATTACKS.values()}


def __getattr__(name: str) -> Any:
    """Import an attack when its class is asked for: `from lgm_bench.attacks import BIM`."""
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve("attack", _CLASSES[name], ATTACKS)


def __dir__() -> list[str]:
    return sorted([*globals(), *_CLASSES])
