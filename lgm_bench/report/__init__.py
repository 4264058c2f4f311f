"""The report of a results folder: one HTML file that needs nothing else, one file a figure."""
