"""What a section of the report is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reportgen.rendering.context import Report


@dataclass(frozen=True)
class Section:
    """A section of the report: its template's name, its heading, and the function that makes its values.

    ``view`` returns None where the report has nothing to say in this section.
    """

    name: str
    title: str
    view: Callable[[Report], dict[str, Any] | None]
