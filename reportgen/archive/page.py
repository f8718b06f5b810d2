"""Pages about several reports, in the style of a report's own page."""

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reportgen.prose import template_folder
from reportgen.rendering.canvas import printable


def rendered(template: str, **values: Any) -> str:
    """A whole page from templates/archive; values are escaped, SVG of our own drawing is not."""
    folder = template_folder()
    loader = FileSystemLoader([folder / "archive", folder])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"svg": Markup, "printable": printable}
    css = Markup((folder / "report.css").read_text(encoding="utf-8"))
    return made.get_template(template).render(css=css, **values)
