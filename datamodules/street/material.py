"""What surfaces are made of, as a LiDAR sees it."""

from typing import NamedTuple


class Material(NamedTuple):
    """How light comes back from a surface.

    Attributes:
        albedo: Reflectance at right angles, in [0, 1].
        retro: Share of it that comes back at any angle, as from a traffic sign; the rest goes with the cosine.
        lost: Share of the rays that never come back, as from glass.
        roughness: Standard deviation of the surface's depth, metres.
        free_path: Mean way of a ray through a body of it, metres; 0: the surface is closed.
    """

    albedo: float
    retro: float = 0.0
    lost: float = 0.0
    roughness: float = 0.0
    free_path: float = 0.0


ASPHALT = Material(0.25, retro=0.2, roughness=0.005)
PAINT = Material(0.65, retro=0.5)
PAVING = Material(0.38, retro=0.2, roughness=0.005)
GRASS = Material(0.45, retro=0.4, roughness=0.04)
PLASTER = Material(0.5)
BRICK = Material(0.35, roughness=0.01)
GLASS = Material(0.08, lost=0.7)
LACQUER = Material(0.4, lost=0.05)
DARK_LACQUER = Material(0.12, lost=0.15)
RUBBER = Material(0.06, lost=0.1)
TARPAULIN = Material(0.55)
WOOD = Material(0.35, roughness=0.01)
BARK = Material(0.3, roughness=0.02)
LEAVES = Material(0.45, retro=0.5, free_path=0.5)
HEDGE = Material(0.42, retro=0.5, free_path=0.25)
MESH = Material(0.3, retro=0.3, free_path=0.06)
STEEL = Material(0.4, retro=0.1)
REFLECTOR = Material(0.95, retro=0.9)
CLOTH = Material(0.35)
