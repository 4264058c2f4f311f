"""Training recipes and objectives."""
