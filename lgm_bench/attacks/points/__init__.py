"""Attacks that move the points of point clouds."""
