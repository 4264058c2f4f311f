"""What to run: benchmark files, the cells they unfold into, and where the paper prints their numbers."""
