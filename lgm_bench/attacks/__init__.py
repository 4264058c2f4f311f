"""Attacks. Each one follows the gradient method that it is given."""

from typing import TYPE_CHECKING

from lgm_bench.registry import lazy

if TYPE_CHECKING:
    from lgm_bench.attacks.attack import Attack
    from lgm_bench.attacks.autoattack import AutoAttack
    from lgm_bench.attacks.budgets import Budget, Cubes, L2Ball, LinfBall
    from lgm_bench.attacks.image_attacks import BIM, FGSM, PGD, Adam, AutoPGD, CarliniWagner, RandomNoise
    from lgm_bench.attacks.objective import Objective, Pass
    from lgm_bench.attacks.objectives import DLR, CrossEntropy, Lovasz, Margin, TargetedDLR
    from lgm_bench.attacks.point_attacks import KNNPert, PointAttack, PointBIM, PointPert, RandomPerturbation
    from lgm_bench.attacks.trace import AttackResult
    from lgm_bench.attacks.universal import Universal

IMAGE_ATTACKS = {
    "fgsm": "lgm_bench.attacks.image_attacks:FGSM",
    "bim": "lgm_bench.attacks.image_attacks:BIM",
    "pgd": "lgm_bench.attacks.image_attacks:PGD",
    "adam": "lgm_bench.attacks.image_attacks:Adam",
    "cw": "lgm_bench.attacks.image_attacks:CarliniWagner",
    "autopgd": "lgm_bench.attacks.image_attacks:AutoPGD",
    "autoattack": "lgm_bench.attacks.autoattack:AutoAttack",
    "universal": "lgm_bench.attacks.universal:Universal",
    "noise": "lgm_bench.attacks.image_attacks:RandomNoise",
}
POINT_ATTACKS = {
    "random": "lgm_bench.attacks.point_attacks:RandomPerturbation",
    "pointbim": "lgm_bench.attacks.point_attacks:PointBIM",
    "pointpert": "lgm_bench.attacks.point_attacks:PointPert",
    "knnpert": "lgm_bench.attacks.point_attacks:KNNPert",
}
ATTACKS = {**IMAGE_ATTACKS, **POINT_ATTACKS}
"""Attacks by name."""
GRADIENT_FREE = frozenset({"noise", "random"})
"""Attacks that follow no gradient."""
LEARNING = frozenset({"universal"})
"""Attacks that learn on held-out samples first."""
_HOMES = {
    "attack": ("Attack",),
    "autoattack": ("AutoAttack",),
    "budgets": ("Budget", "Cubes", "L2Ball", "LinfBall"),
    "image_attacks": ("Adam", "AutoPGD", "BIM", "CarliniWagner", "FGSM", "PGD", "RandomNoise"),
    "objective": ("Objective", "Pass"),
    "objectives": ("CrossEntropy", "DLR", "Lovasz", "Margin", "TargetedDLR"),
    "point_attacks": ("KNNPert", "PointAttack", "PointBIM", "PointPert", "RandomPerturbation"),
    "trace": ("AttackResult",),
    "universal": ("Universal",),
}
__all__ = [
    "ATTACKS",
    "BIM",
    "DLR",
    "FGSM",
    "PGD",
    "Adam",
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
    "RandomNoise",
    "RandomPerturbation",
    "TargetedDLR",
    "Universal",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
