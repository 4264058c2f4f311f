"""What cells are going to cost, before anything runs."""
