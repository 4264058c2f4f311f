"""Parametric shapes of classes of ModelNet40, and a writer of them in its layout."""
