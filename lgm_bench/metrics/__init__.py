"""What a benchmark measures besides accuracy."""

from lgm_bench.metrics.architecture_change import ArchitectureChange, ChangeCounts, change_counts

__all__ = ["ArchitectureChange", "ChangeCounts", "change_counts"]
