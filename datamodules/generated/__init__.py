"""Data sets that need no download: generated rooms, streets and shapes, and handwritten digits."""
