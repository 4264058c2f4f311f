"""A simulated LiDAR in generated streets."""
