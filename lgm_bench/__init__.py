"""lgm-bench: the leaded gradient against the dynamics-unaware one, on adaptive networks."""

import os

# Worker threads that spin while they wait starve each other on small machines; this has to be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from lgm_bench.leaded import FGM, LGM, Leaded, Occupancy, architecture

__version__ = "0.1.0"
__all__ = ["FGM", "LGM", "Leaded", "Occupancy", "__version__", "architecture"]
