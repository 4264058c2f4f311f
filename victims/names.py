"""The victims by name. A module is imported only when one of its networks is used."""

MINIATURES = ("resnet8", "skipnet14", "dynconv8", "channelgate8", "moe14", "evit4", "avit4", "earlyexit8")
VICTIMS: dict[str, str] = {
    **{f"resnet{depth}-cifar10": f"victims.cifar10:resnet{depth}" for depth in (20, 32, 44, 56, 110)},
    **{f"skipnet{depth}-cifar10": f"victims.cifar10:skipnet{depth}" for depth in (20, 26, 32, 38, 74, 110)},
    **{f"dynconv{depth}-cifar10": f"victims.cifar10:dynconv{depth}" for depth in (8, 14, 20, 26, 32)},
    **{f"{family}20_at-cifar10": f"victims.cifar10:{family}20" for family in ("skipnet", "dynconv")},
    "skipnet20_adaptive-cifar10": "victims.cifar10:skipnet20",
    **{f"{name}-cifar10": f"victims.early_exit:{name}" for name in ("rdi_resnet38", "resnet8_2ee", "cascade")},
    **{f"{name}-cifar10": f"victims.cifar10:{name}" for name in ("evit6", "moe20")},
    **{
        f"{family}{depth}-imagenet": f"victims.imagenet:{family}{depth}"
        for family in ("resnet", "skipnet", "dynconv")
        for depth in (18, 34, 50, 101)
    },
    **{f"{name}-scannet": f"victims.scenes:{name}_scannet" for name in ("minkunet14", "minkunet18", "minkunet34c")},
    **{f"{name}-s3dis": f"victims.scenes:{name}_s3dis" for name in ("minkunet14", "minkunet18", "minkunet34")},
    **{f"minkunet-{data}-mini": f"victims.scenes:minkunet_{data}_mini" for data in ("scannet", "s3dis")},
    "cylinder3d-small-semantickitti": "victims.streets:cylinder3d_small_semantickitti",
    "cylinder3d-semantickitti": "victims.streets:cylinder3d_semantickitti",
    "cylinder3d-corrected-semantickitti": "victims.streets:cylinder3d_corrected_semantickitti",
    "cylinder3d-semantickitti-mini": "victims.streets:cylinder3d_semantickitti_mini",
    "minknet-small-modelnet40": "victims.shapes:minknet_small_modelnet40",
    "minknet-modelnet40-mini": "victims.shapes:minknet_modelnet40_mini",
    "minknet-modelnet40": "victims.shapes:minknet_modelnet40",
    **{f"{miniature}-mini": f"victims.mini:{miniature}" for miniature in MINIATURES},
    **{f"{family}10-imagenet-mini": f"victims.mini:{family}10_imagenet" for family in ("resnet", "skipnet", "dynconv")},
}
"""Victim name to a callable that takes no arguments and returns a `Victim` with untrained weights."""

STATIC_VICTIMS = frozenset(
    name for name, target in VICTIMS.items() if name.startswith("resnet") and "early_exit" not in target
)
"""Networks without gates."""


def victim_names() -> list[str]:
    """Return the registered names: for each data set by family, then by depth."""
    return list(VICTIMS)
