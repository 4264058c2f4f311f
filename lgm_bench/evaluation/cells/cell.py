"""A cell: one number of a table, everything that determines it, and nothing else."""

import hashlib
import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Cell:
    """Victim x data x attack x gradient, as plain values.

    Attributes:
        victim: Registered victim name, or `package.module:Class` of a user's own.
        data: Registered datamodule name.
        attack: Registered attack name.
        gradient: "fgm" or "lgm".
        eps: Half-width of the L-infinity ball, in 1/255 for images and metres for points.
        step: Step in the unit of eps; None for the attack's default.
        steps: Iterations; None for the attack's default.
        slope: Slope lambda of the leaded occupancy; None for FGM.
        forward: "soft" or "hard", the forward pass under LGM.
        protocol: "paper" or "official".
        targeted: Whether every class in turn is the target.
        valid_pixels: Share of the pixels that may change.
        seed: Seed of all randomness.
        limit: Number of samples, the first ones of the set; None for all.
        subset: "test" (or the data set's evaluation split), or "holdout" (training images kept from training).
        checkpoint: Path of a checkpoint, "random", or None for the registry's default.
        mean: Normalization of the victim, if it is not its default.
        std: See `mean`.
        active_set: Whether samples that have fallen are left alone from then on.
        relation: How points and voxels are related, see `VoxelSlopes`; like those that follow None for images.
        input_slope: Slope of the way from points to voxels; None where there is none.
        output_slope: Slope of the way back.
        floor_slope: Slope of the soft floor in coordinate features.
        loss: "cross_entropy" or "lovasz", what an attack on points raises.
        history: Whether the hard network judges every iterate of an attack on images, see `rows.HISTORY`; that changes
            no number, so it is not part of the fingerprint, and cells that differ in nothing else are equal.
        paper: Where the paper prints this number, such as ("table_1", "eps=1", "dynconv32", "fgm"); not part of
            the fingerprint.
    """

    victim: str
    data: str
    attack: str
    gradient: str
    eps: float
    step: float | None = None
    steps: int | None = None
    slope: float | None = None
    forward: str = "soft"
    protocol: str = "official"
    targeted: bool = False
    valid_pixels: float = 1.0
    seed: int = 0
    limit: int | None = None
    subset: str = "test"
    checkpoint: str | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    active_set: bool = False
    relation: str | None = None
    input_slope: float | None = None
    output_slope: float | None = None
    floor_slope: float | None = None
    loss: str | None = None
    history: bool = field(default=False, compare=False)
    paper: tuple[str, ...] | None = None

    @property
    def title(self) -> str:
        """Short text for progress displays and folder names."""
        kind = "targeted-" if self.targeted else ""
        pixels = "" if self.valid_pixels == 1 else f"-{self.valid_pixels:.0%}".replace("%", "pct")
        relation = "" if self.relation in (None, "sigmoid") else f"-{self.relation}"
        return f"{self.victim}-{kind}{self.attack}{pixels}-eps{self.eps:g}-{self.gradient}{relation}"

    def fingerprint(self, **context: object) -> str:
        """Return 16 hex digits of the sha256 of the cell and of `context` (checkpoint hash, data hash, version).

        Batch size, devices, `history` and `paper` do not enter: they do not change the result.
        """
        values = {key: value for key, value in asdict(self).items() if key not in ("paper", "history", "checkpoint")}
        text = json.dumps({"cell": values, **context}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
