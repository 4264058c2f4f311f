"""Tasks: image classification, shape classification and scene segmentation."""
