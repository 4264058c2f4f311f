"""Measures other than accuracy: architecture change and IoU."""
