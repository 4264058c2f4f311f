"""Attacks, each following whichever gradient method it is given."""

from typing import TYPE_CHECKING, Any

from lgm_bench.registry import resolve

if TYPE_CHECKING:
    from lgm_bench.attacks.attack import Attack
    from lgm_bench.attacks.autoattack import AutoAttack
    from lgm_bench.attacks.autopgd import AutoPGD
    from lgm_bench.attacks.bim import BIM
    from lgm_bench.attacks.budgets import Budget, Cubes, L2Ball, LinfBall
    from lgm_bench.attacks.carlini_wagner import CarliniWagner
    from lgm_bench.attacks.fgsm import FGSM
    from lgm_bench.attacks.knnpert import KNNPert
    from lgm_bench.attacks.objectives import DLR, CrossEntropy, Lovasz, Margin, Objective, Pass, TargetedDLR
    from lgm_bench.attacks.pgd import PGD
    from lgm_bench.attacks.point_attack import PointAttack
    from lgm_bench.attacks.pointbim import PointBIM
    from lgm_bench.attacks.pointpert import PointPert
    from lgm_bench.attacks.random_perturbation import RandomPerturbation
    from lgm_bench.attacks.trace import AttackResult

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
_MODULES = {
    "attack": ("Attack",),
    "autoattack": ("AutoAttack",),
    "autopgd": ("AutoPGD",),
    "bim": ("BIM",),
    "budgets": (
        "Budget",
        "Cubes",
        "L2Ball",
        "LinfBall",
    ),
    "carlini_wagner": ("CarliniWagner",),
    "fgsm": ("FGSM",),
    "knnpert": ("KNNPert",),
    "objectives": (
        "CrossEntropy",
        "DLR",
        "Lovasz",
        "Margin",
        "Objective",
        "Pass",
        "TargetedDLR",
    ),
    "pgd": ("PGD",),
    "point_attack": ("PointAttack",),
    "pointbim": ("PointBIM",),
    "pointpert": ("PointPert",),
    "random_perturbation": ("RandomPerturbation",),
    "trace": ("AttackResult",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [
    "ATTACKS",
    "BIM",
    "DLR",
    "FGSM",
    "PGD",
    "Attack",
    "AttackResult",
    "AutoAttack",
    "AutoPGD",
    "Budget",
    "CarliniWagner",
    "CrossEntropy",
    "Cubes",
    "KNNPert",
    "L2Ball",
    "LinfBall",
    "Lovasz",
    "Margin",
    "Objective",
    "Pass",
    "PointAttack",
    "PointBIM",
    "PointPert",
    "RandomPerturbation",
    "TargetedDLR",
]


def __getattr__(name: str) -> Any:
    """Import an attack, and torch with it, when it is asked for: the names of the attacks do without."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve("attack", f"{__name__}.{_HOMES[name]}:{name}", {})


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
