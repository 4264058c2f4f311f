"""What a run shows: live views, and tables in the paper's layout."""
