"""The results folder: rows of every sample, the sums of them, and the record of a cell."""
