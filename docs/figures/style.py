"""What the figures have in common: their grounds, light and dark, and matplotlib's settings."""

LIGHT, DARK = ("white", "black"), ("#1f2129", "#e6e6e6")
"""Colours of paper and ink."""


def style(paper: str, ink: str) -> dict[str, object]:
    """Return matplotlib's settings."""
    return {
        "svg.hashsalt": "lgm-bench",  # the same file from the same numbers
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
    }
