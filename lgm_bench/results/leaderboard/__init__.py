"""Leaderboards: expected numbers of a suite, and comparisons of results with them."""
