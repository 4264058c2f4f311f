"""The command line: one verb, one module."""

from lgm_bench.cli.application import app, main

__all__ = ["app", "main"]
