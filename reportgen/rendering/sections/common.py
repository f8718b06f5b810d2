"""What a section of the report is."""

from collections.abc import Callable
from dataclasses import dataclass

from reportgen.core.plugins import Record, Registry
from reportgen.rendering.context import Report


@dataclass(frozen=True)
class Section(Record):
    """A section of the report: its template's name, its heading, and the function that makes its values.

    The template is ``sections/<name>.j2``; without one, ``sections/_default.j2`` prints the values under their names.
    ``view`` returns None where the report has nothing to say in this section.
    """

    title: str
    view: Callable[[Report], dict[str, object] | None]


SECTIONS = Registry("sections", Section, reserved=("content",))  # an anchor of the page
