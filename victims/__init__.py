"""Victim networks, one family a file."""
