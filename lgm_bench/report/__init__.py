"""The report of a results folder: one self-contained HTML file; each kind of figure has its own module."""
