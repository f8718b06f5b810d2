"""The report as one HTML document, readable without its script: self-contained, or with its parts beside it."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from reportgen.core.plugins import Plugin
from reportgen.core.sentences import broken, template_folder
from reportgen.core.user_cache import CompiledTemplates
from reportgen.errors import InputError
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.html.assets import CSP_BESIDE, PAGE, beside
from reportgen.rendering.html.embedded_data import embedded
from reportgen.rendering.paper.files import schema_org
from reportgen.rendering.pdf.print_style import for_print
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.sections.common import SECTIONS, Section

SCRIPT = ("data", "maps", "telling", "saving", "controls")
CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src {}; script-src {}"


@dataclass(frozen=True)
class Rendered:
    """A section ready for the page: its anchor, its heading, its contents for the table of contents."""

    name: str
    title: str
    body: Markup
    entries: tuple[tuple[str, str], ...] = ()


def folders_of(extra: Path | None = None) -> list[Path]:
    """Where templates are looked for: in ``extra`` before ours, and in those of other packages' sections last."""
    if extra is not None and not extra.is_dir():
        raise InputError("no such folder", f"[report] templates = {extra}", "Give a folder of templates")
    return [*([extra] if extra is not None else []), template_folder(), *SECTIONS.template_folders()]


def environment(folders: list[Path]) -> Environment:
    """Jinja with autoescape and strict names."""
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=CompiledTemplates("page"),
    )
    # SVG comes from our own drawing code, where every name in it was escaped.
    made.filters |= {"svg": Markup, "number": fmt.number, "printable": printable, "count": fmt.count}
    return made


def _read(folders: list[Path], name: str) -> str:
    return next(f / name for f in folders if (f / name).exists()).read_text(encoding="utf-8")


def _script(folders: list[Path]) -> str:
    """The page's script: its parts in reading order, in a scope of their own."""
    parts = "\n".join(_read(folders, f"script/{part}.js") for part in SCRIPT)
    return f'(async () => {{\n"use strict";\n{parts}}})();\n'


def html(
    report: Report, print_it: Callable[[str], None] | None = None
) -> tuple[dict[str, str | bytes], tuple[Plugin, ...]]:
    """The page for the screen and the files beside it by their names; and the plug-ins of the report, with what became
    of its sections. The page that the PDF is printed from goes to ``print_it`` as soon as it is there.

    The page for the screen holds script and data, or names the files that do where the study wants them beside it
    ([report] assets); the printed one has neither.
    """
    folders = folders_of(report.study.report.templates)
    env = environment(folders)
    css = f"{_read(folders, 'report.css')}@page {{ size: {report.study.report.page} }}\n"
    script, study = _script(folders), report.study.study
    sections, plugins = _rendered(env, report)
    if print_it is not None:
        sheets, plugins = _rendered(env, replace(report, printed=True, plugins=plugins))
    values = {
        "title": printable(study.title) or "Attention-head importance",
        "authors": [printable(a) for a in study.authors],
        "synthetic": report.scores.synthetic,
        "date": report.date,
        "theme": report.study.report.theme,
        "sections": sections,
        "css": Markup(css),
        "failed": [p.told for p in plugins if p.error],
        "csp": policy(css, script),
        "description": f"Importance of every attention head on {fmt.count(len(report.tasks), 'task')}.",
    }
    if print_it is not None:
        on_paper = {"sections": sheets, "css": Markup(for_print(css)), "beside": None}
        unscripted = dict.fromkeys(("script", "data", "catalogue"))
        print_it(_filled(env, "report.html.j2", {**values, **on_paper, **unscripted}))
    told = {"script": Markup(script), "data": Markup(embedded(report)), "catalogue": Markup(schema_org(report))}
    folder = report.study.report.assets
    if folder is None:
        return {PAGE: _filled(env, "report.html.j2", {**values, **told, "beside": None})}, plugins
    page = _filled(env, "report.html.j2", {**values, **told, "beside": folder, "csp": CSP_BESIDE})
    return beside(folder, page, css=css, script=script, data=told["data"], catalogue=told["catalogue"]), plugins


def _filled(env: Environment, name: str, values: dict[str, Any]) -> str:
    """A template with its values; raises InputError with file, line and name where the template cannot be filled."""
    try:
        return env.get_template(name).render(values)
    except TemplateError as error:
        raise broken(error, name) from error


def policy(css: str, script: str = "") -> str:
    """The Content-Security-Policy of a page with this style sheet and no script but this one."""
    return CSP.format(_hash(css), _hash(script) if script else "'none'")


def _hash(text: str) -> str:
    """How a Content-Security-Policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _rendered(env: Environment, report: Report) -> tuple[list[Rendered], tuple[Plugin, ...]]:
    """The sections that have something to say, and the report's plug-ins: one that raises is left out by name."""
    made, failed = list[Rendered](), dict[str, Exception | SystemExit]()
    ours = {section.name for section in SECTIONS.own()}
    for section in SECTIONS.chosen(report.sections, "[report] sections"):
        try:
            body = _body(env, section, report)
        except (Exception, SystemExit) as error:
            if section.name in ours:
                raise
            failed[section.name] = error
            continue
        if body is not None:
            listed = report.tasks if section.name == "tasks" and not report.brief else ()
            entries = tuple((t.anchor, t.name) for t in listed)
            made.append(Rendered(section.name.replace("_", "-"), section.title, body, entries))
    raised = (failed.get(p.name) if p.group == SECTIONS.group and not p.error else None for p in report.plugins)
    return made, tuple(p if e is None else p.failed(e) for p, e in zip(report.plugins, raised, strict=True))


def _body(env: Environment, section: Section, report: Report) -> Markup | None:
    values = section.view(report)
    return None if values is None else Markup(_filled(env, f"sections/{section.name}.j2", values))
