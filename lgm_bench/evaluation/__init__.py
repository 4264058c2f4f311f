"""The benchmark: configuration, cells, the attack stage, results."""
