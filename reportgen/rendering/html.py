"""The report as one self-contained HTML document: no script, no request to anywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reportgen.errors import InputError
from reportgen.prose import template_folder
from reportgen.rendering import format as fmt
from reportgen.rendering.canvas import printable
from reportgen.rendering.sections import chosen
from reportgen.rendering.view import Report

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Rendered:
    """A section ready for the page: its anchor, its heading, its contents for the table of contents."""

    name: str
    title: str
    body: Markup
    entries: tuple[tuple[str, str], ...] = ()


def environment(extra: Path | None = None) -> Environment:
    """Jinja with autoescape and strict names; templates in ``extra`` stand before ours."""
    if extra is not None and not extra.is_dir():
        raise InputError("no such folder", f"[report] templates = {extra}", "Give a folder of templates")
    folders = [*([extra] if extra is not None else []), template_folder()]
    made = Environment(loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    # SVG comes from our own drawing code, where every name in it was escaped.
    made.filters |= {"svg": Markup, "number": fmt.number, "printable": printable, "count": fmt.count}
    made.globals["css"] = Markup(_read(folders, "report.css"))
    return made


def _read(folders: list[Path], name: str) -> str:
    return next(f / name for f in folders if (f / name).exists()).read_text(encoding="utf-8")


def html(report: Report) -> str:
    """The whole page."""
    env = environment(report.study.report.templates)
    sections = [s for s in _rendered(env, report) if s is not None]
    study = report.study.study
    page = env.get_template("report.html.j2")
    return page.render(
        title=printable(study.title) or "Attention-head importance", authors=[printable(a) for a in study.authors],
        synthetic=report.scores.synthetic, sections=sections, csp=CSP, date=report.date, page=report.study.report.page,
        description=f"Importance of every attention head on {fmt.count(len(report.tasks), 'task')}.",
    )  # fmt: skip


def _rendered(env: Environment, report: Report) -> list[Rendered | None]:
    made: list[Rendered | None] = []
    for section in chosen(list(report.sections)):
        values: dict[str, Any] | None = section.view(report)
        if values is None:
            made.append(None)
            continue
        body = Markup(env.get_template(f"sections/{section.name}.j2").render(values))
        entries = tuple((t.anchor, t.name) for t in report.tasks) if section.name == "tasks" else ()
        made.append(Rendered(section.name.replace("_", "-"), section.title, body, entries))
    return made
