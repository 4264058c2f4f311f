"""What a benchmark measures besides accuracy."""
