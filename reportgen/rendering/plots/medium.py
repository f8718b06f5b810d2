"""What figures are drawn for: the page, or a paper's column or text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Medium:
    """A width in inches, and the smallest type in points; ``paper``: a figure of several panels fills the width."""

    width: float
    least: float
    paper: bool = False

    def pt(self, size: float) -> float:
        """Return a size of type in points that is no smaller than allowed here."""
        return max(size, self.least)


PAGE = Medium(6.7, 5.0)  # the text width of an A4 page
LEGIBLE = 6.0  # points, at the size in which a paper prints the figure
