"""Where papers appear: how wide a column and the whole text are, in inches."""

from dataclasses import dataclass

LEAST, MOST = 2.0, 12.0  # inches, the width of a figure


@dataclass(frozen=True)
class Venue:
    """The widths of a column and of the whole text in inches, and the style file that they are read from."""

    column: float
    text: float
    source: str


_ACL = Venue(7.7 / 2.54, 16 / 2.54, "acl.sty: A4, margins of 2.5 cm, \\columnsep 0.6 cm")
VENUES: dict[str, Venue] = {
    "neurips": Venue(5.5, 5.5, "neurips_2025.sty: textwidth 5.5 in, one column"),
    "icml": Venue(3.25, 6.75, "icml2025.sty: \\textwidth 6.75 in, \\columnsep 0.25 in"),
    "iclr": Venue(5.5, 5.5, "iclr2025_conference.sty: \\textwidth 5.5 in, one column"),
    "acl": _ACL,
    "emnlp": _ACL,
    "naacl": _ACL,
    "aaai": Venue((7 - 0.375) / 2, 7.0, "aaai25.sty: \\textwidth 7 in, \\columnsep 0.375 in"),
    "aistats": Venue(3.25, 6.75, "aistats2025.sty: \\textwidth 6.75 in, \\columnsep 0.25 in"),
    "cvpr": Venue(3.25, 6.875, "cvpr.sty, 2024: \\textwidth 6.875 in, columns of 3.25 in"),
    "tmlr": Venue(6.5, 6.5, "tmlr.sty: \\textwidth 6.5 in, one column"),
    "jmlr": Venue(6.0, 6.0, "jmlr2e.sty: \\textwidth 6 in, one column"),
}


def widths(venue: str | float) -> dict[str, float]:
    """Return the widths of figures in inches: ``column`` and ``text``, the latter alone where they are one."""
    if not isinstance(venue, str):
        return {"text": float(venue)}
    known = VENUES[venue]
    return {"text": known.text} if known.column == known.text else {"column": known.column, "text": known.text}


def read(value: str | float) -> str | float:
    """Read a venue's name, or a width in inches; raises ValueError naming the known venues for anything else."""
    if isinstance(value, str) and value.strip().casefold() in VENUES:
        return value.strip().casefold()
    try:
        width = float(value.strip().casefold().removesuffix("in") if isinstance(value, str) else value)
    except ValueError:
        width = float("nan")
    if not LEAST <= width <= MOST:
        hint = f"Known are {', '.join(VENUES)}, or a width of {LEAST:g} to {MOST:g} inches"
        raise ValueError(f"this is no venue known here. {hint}")
    return width
