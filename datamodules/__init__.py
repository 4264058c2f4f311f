"""LightningDataModules, one data set a file."""
