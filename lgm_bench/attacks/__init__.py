"""Attacks, each following whichever gradient method it is given."""
