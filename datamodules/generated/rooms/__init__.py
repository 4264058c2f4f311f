"""A generator of labelled indoor rooms."""
