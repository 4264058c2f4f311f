"""Torchmetrics of the benchmark."""
