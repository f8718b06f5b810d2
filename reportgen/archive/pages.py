"""Pages about several reports, in the style of a report's own page."""

from functools import cache
from pathlib import Path

from markupsafe import Markup

from reportgen.core.sandbox import Sandbox, environment, filled
from reportgen.core.sentences import template_folder
from reportgen.rendering.format import count
from reportgen.rendering.html.page import policy
from reportgen.rendering.plots.canvas import printable


def rendered(template: str, **values: object) -> str:
    """Render a whole page from templates/archive; values are escaped, SVG of our own drawing is not.

    The style sheet and script of the template's name, where there are such, are the page's own.
    """
    folder = template_folder()
    name = template.partition(".")[0]
    css, script = (
        _read(folder / "report.css") + _read(folder / "archive" / f"{name}.css"),
        _read(folder / "archive" / f"{name}.js"),
    )
    values |= {"css": Markup(css), "script": Markup(script), "csp": policy(css, script)}
    return filled(_environment(folder), template, values)


@cache
def _environment(folder: Path) -> Sandbox:
    filters = {"svg": Markup, "printable": printable, "count": count}
    return environment([folder / "archive", folder], filters, kind="archive")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
