"""The results folder: the rows of every sample, their sums, and the record of a cell."""
