"""What an attack on point clouds cost, added up over rows."""

import math
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lgm_bench.evaluation.store.record import CostRecord


@dataclass(frozen=True)
class Effort:
    """Sums over the rows of point clouds.

    Attributes:
        rows: Rows that were counted.
        voxels: Sum of their mean voxels of an iteration.
        gflops: Sum of their mean GFLOPs of an iteration.
    """

    rows: int = 0
    voxels: float = 0.0
    gflops: float = 0.0

    @classmethod
    def of(cls, table: pa.Table) -> "Effort":
        """Add up the rows of a table that have an effort; those of images and of attacks without gradient have none."""
        known = pc.and_(pc.is_valid(table.column("voxels")), pc.is_valid(table.column("gflops")))
        counted = table.filter(known)
        # fsum: exact, so that it does not matter in what pieces the rows were written
        voxels, gflops = (math.fsum(counted.column(name).drop_null().to_pylist()) for name in ("voxels", "gflops"))
        return cls(counted.num_rows, voxels, gflops)

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(self.rows + other.rows, self.voxels + other.voxels, self.gflops + other.gflops)

    def record(self) -> CostRecord | None:
        """Return the means over scenes and iterations (Tao et al. 2024, Table VI), or None."""
        if not self.rows:
            return None
        return CostRecord(kvoxels=self.voxels / self.rows / 1000, gflops=self.gflops / self.rows)
