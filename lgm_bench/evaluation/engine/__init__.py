"""Running cells: the attack stage, in one process or several, and what it needs."""
