"""What a section of the report is."""

from collections.abc import Callable
from dataclasses import dataclass

from reportgen.core.plugins import Record, Registry
from reportgen.rendering.context import Report

View = Callable[[Report], dict[str, object] | None]


@dataclass(frozen=True)
class Section(Record):
    """A section of the report: its template's name, its heading, and the function that makes its values.

    The template is ``sections/<name>.j2``; without one, ``sections/_default.j2`` prints the values under their names.
    ``view`` returns None where the report has nothing to say in this section. In the PDF, whose sections make the
    appendix, ``print/<name>.j2`` stands in place of the template where there is one.

    ``brief`` makes the values of the section's part of the two pages that stand before the appendix, set by
    ``brief/<name>.j2``; ``first`` says that it stands on the first of them.
    """

    title: str
    view: View
    brief: View | None = None
    first: bool = False


SECTIONS = Registry("sections", Section, reserved=("content", "appendix"))  # anchors of the page
