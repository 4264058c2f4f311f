"""Training runs of victims from scratch; they can be resumed."""
