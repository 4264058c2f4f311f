"""A simulated LiDAR in generated streets, and a writer of its scans in the layout of SemanticKITTI."""
