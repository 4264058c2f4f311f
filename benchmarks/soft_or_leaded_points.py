"""What makes the leaded attack on voxels stronger: the soft forward pass, or gradient through the occupancy?

Run it as `python benchmarks/soft_or_leaded_points.py`; it needs nothing but what comes with lgm-bench. Point-BIM
follows six gradients on generated rooms: FGM with and without the denominator of Eq. (40) (Tao et al. 2024); LGM; its
soft occupancy held constant, which passes no gradient; LGM with a hard forward pass; LGM without devoxelization. It
prints the mean over the rooms of the lowest mIoU of a scene, in percent, official parameters but for the steps.
"""

import argparse
from dataclasses import replace

from datamodules import load_datamodule
from datamodules.batch import PointBatch
from lgm_bench.attacks import PointBIM
from lgm_bench.attacks.point_defaults import default_settings
from lgm_bench.leaded import FGM, LGM, GradientMethod, Soft, StraightThrough
from victims import load_victim
from victims.point_victim import PointVictim

VICTIMS = {"minkunet14-scannet": "rooms-scannet", "minkunet14-s3dis": "rooms-s3dis"}


def lowest(victim: PointVictim, rooms: list[PointBatch], attack: PointBIM, gradient: GradientMethod) -> float:
    """Return the mean over rooms of the lowest mIoU, in percent."""
    results = [attack.attack(victim, room.cloud, room.labels, gradient=gradient) for room in rooms]
    return 100 * sum(float(result.scores.min()) for result in results) / len(rooms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eps", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rooms", type=int, default=1)
    options = parser.parse_args()
    for name, data in VICTIMS.items():
        victim = load_victim(name)
        module = load_datamodule(data, batch_size=1, limit=options.rooms)
        module.prepare_data()
        module.setup("test")
        rooms = list(module.test_dataloader())
        fgm, lgm = (default_settings(name, gradient, options.eps) for gradient in ("fgm", "lgm"))
        leaded = LGM(lgm.slope, voxels=lgm.voxels)
        of_fgm = PointBIM(options.eps, fgm.step, options.steps - 1)
        of_lgm = PointBIM(options.eps, lgm.step, options.steps - 1)
        results = {
            "clean": lowest(victim, rooms, PointBIM(options.eps, fgm.step, 0), FGM()),
            "FGM": lowest(victim, rooms, of_fgm, FGM(fgm.voxels)),
            "FGM, with denominator": lowest(victim, rooms, of_fgm, FGM(replace(fgm.voxels, normalized=True))),
            "LGM": lowest(victim, rooms, of_lgm, leaded),
            "soft occupancy, constant": lowest(victim, rooms, of_lgm, Soft(lgm.slope, lgm.voxels)),
            "LGM, hard forward": lowest(victim, rooms, of_lgm, StraightThrough(lgm.slope, lgm.voxels)),
            "LGM, no devoxelization": lowest(
                victim, rooms, of_lgm, LGM(lgm.slope, voxels=replace(lgm.voxels, output=None))
            ),
        }
        print(f"{name}, eps {options.eps:g} m, {options.steps} steps")
        for method, miou in results.items():
            print(f"  {method:26}{miou:6.2f}", flush=True)


if __name__ == "__main__":
    main()
