"""Training runs: victims from scratch, resumable."""
