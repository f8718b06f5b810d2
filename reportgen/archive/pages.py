"""Pages about several reports, in the style of a report's own page."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reportgen.core.sentences import template_folder
from reportgen.rendering.format import count
from reportgen.rendering.html.page import policy
from reportgen.rendering.plots.canvas import printable


def rendered(template: str, **values: Any) -> str:
    """A whole page from templates/archive; values are escaped, SVG of our own drawing is not.

    The style sheet and script of the template's name, where there are such, are the page's own.
    """
    folder = template_folder()
    name = template.partition(".")[0]
    css, script = (
        _read(folder / "report.css") + _read(folder / "archive" / f"{name}.css"),
        _read(folder / "archive" / f"{name}.js"),
    )
    values |= {"css": Markup(css), "script": Markup(script), "csp": policy(css, script)}
    return _environment(folder).get_template(template).render(values)


@cache
def _environment(folder: Path) -> Environment:
    loader = FileSystemLoader([folder / "archive", folder])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {"svg": Markup, "printable": printable, "count": count}
    return made


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
