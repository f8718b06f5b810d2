"""The report as one HTML document, readable without its script: self-contained, or with its parts beside it."""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from markupsafe import Markup, escape

from reportgen.core import sandbox
from reportgen.core.confined import Confined, Fill
from reportgen.core.plugins import Plugin
from reportgen.core.sandbox import Sandbox, filled
from reportgen.core.sentences import own_templates, template_folder
from reportgen.errors import InputError
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.figures import on_paper
from reportgen.rendering.first_screen import lede
from reportgen.rendering.html.assets import CSP_BESIDE, PAGE, beside
from reportgen.rendering.html.embedded_data import embedded
from reportgen.rendering.paper.files import schema_org
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.sections.common import SECTIONS, Section

SCRIPT = ("data", "maps", "telling", "saving", "navigation", "tables", "explore", "controls")
CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src {}; script-src {}"


@dataclass(frozen=True)
class Rendered:
    """A section ready for the page: its anchor, its heading, its contents for the table of contents."""

    name: str
    title: str
    body: Markup
    entries: tuple[tuple[str, str], ...] = ()
    first: bool = False


def folders_of(extra: Path | None = None) -> list[Path]:
    """Where templates are looked for: in ``extra`` before ours, and in those of other packages' sections last."""
    if extra is not None and not extra.is_dir():
        raise InputError("no such folder", f"[report] templates = {extra}", "Give a folder of templates")
    return [*([extra] if extra is not None else []), template_folder(), *SECTIONS.template_folders()]


_PATH = re.compile(r' d="([^"]*)"')
_COMMAND = re.compile(r" ?([A-Za-z]) ?")
_LONG = re.compile(r"(\.\d\d)\d+")


def compact(svg: str) -> Markup:
    """Return a figure's SVG for the page, a third shorter: lines to a hundredth of a point, no white space for show.

    It comes from our own drawing code, where every name in it was escaped.
    """

    def shorter(found: re.Match[str]) -> str:
        line = _LONG.sub(r"\1", " ".join(found[1].split()))
        line = _COMMAND.sub(r"\1", line)
        return f' d="{line}"'

    return Markup(re.sub(r">\s+<", "><", _PATH.sub(shorter, svg)))


FILTERS: dict[str, Callable[..., str]] = {
    "svg": compact,
    "number": fmt.number,
    "printable": printable,
    "count": fmt.count,
}


def environment(folders: list[Path], overridden: bool = False) -> Sandbox:
    """Return the environment that pages are filled in: autoescape and strict names."""
    return sandbox.environment(folders, FILTERS, kind="page", overridden=overridden)


def filling_overridden(folders: list[Path]) -> Fill:
    """Return what fills the templates of pages where some are not ours."""
    return partial(filled, environment(folders, overridden=True))


def _read(folders: list[Path], name: str) -> str:
    return next(f / name for f in folders if (f / name).exists()).read_text(encoding="utf-8")


def _script(folders: list[Path]) -> str:
    """Return the page's script: its parts in reading order, in a scope of their own."""
    parts = "\n".join(_read(folders, f"script/{part}.js") for part in SCRIPT)
    parts = re.sub(r"^\s+|^//.*\n", "", parts, flags=re.M)
    return f'(async () => {{\n"use strict";\n{parts}}})();\n'


def html(
    report: Report, print_it: Callable[[str], None] | None = None
) -> tuple[dict[str, str | bytes], tuple[Plugin, ...]]:
    """Return the page for the screen and the files beside it by their names; and the plug-ins of the report, with what
    became of its sections. The page that the PDF is printed from goes to ``print_it`` as soon as it is there.

    The page for the screen holds script and data, or names the files that do where the study wants them beside it
    ([report] assets); the printed one has neither.
    """
    extra = report.study.report.templates
    folders = folders_of(extra)
    fill: Fill = partial(filled, environment(folders))
    if extra is not None:
        fill = Confined("reportgen.rendering.html.page:filling_overridden", folders, str(extra))
    css = f"{_read(folders, 'report.css')}@page {{ size: {report.study.report.page} }}\n"
    screen_css = f"{css}{_read(folders, 'screen.css')}"
    script, study = _script(folders), report.study.study
    notes = template_notes(report)
    sections, plugins = _rendered(fill, report)
    if print_it is not None:
        printed = on_paper(replace(report, plugins=plugins))
        parts, plugins = _rendered(fill, printed, brief=True)
        appendix = list[Rendered]()
        if report.study.report.length == "full":
            appendix, plugins = _rendered(fill, replace(printed, plugins=plugins))
    values = {
        "title": report.title or "Attention-head importance",
        "authors": [printable(a) for a in study.authors],
        "synthetic": report.scores.synthetic,
        "date": report.date,
        "theme": report.study.report.theme,
        "sections": sections,
        "css": Markup(screen_css),
        "lede": lede(report),
        "files": _files(report),
        "failed": [p.failure for p in plugins if p.error],
        "csp": policy(screen_css, script),
        "worded": notes,
        "description": _description(report),
    }
    if print_it is not None:
        sheet = f"{_read(folders, 'print.css')}@page {{ size: {report.study.report.page} }}\n"
        on_pages = {"parts": parts, "appendix": appendix, "css": Markup(sheet), "left_out": _left_out(report)}
        print_it(_with_notes(fill("print.html.j2", {**values, **on_pages}), notes))
    scripts = {"script": Markup(script), "data": Markup(embedded(report)), "catalogue": Markup(schema_org(report))}
    folder = report.study.report.assets
    if folder is None:
        return {PAGE: _with_notes(fill("report.html.j2", {**values, **scripts, "beside": None}), notes)}, plugins
    page = _with_notes(fill("report.html.j2", {**values, **scripts, "beside": folder, "csp": CSP_BESIDE}), notes)
    return beside(
        folder, page, css=screen_css, script=script, data=scripts["data"], catalogue=scripts["catalogue"]
    ), plugins


def _files(report: Report) -> list[tuple[str, str, str]]:
    """Return the files beside the page that a reader takes along: what each is called, its address, what it holds."""
    files = [("PDF", "report.pdf", "The report as a PDF, with its data attached")] * (
        "pdf" in report.study.report.formats
    )
    files.append(("CSV", "scores.csv", "Every head’s score on every task"))
    files.append(("JSON", "findings.json", "Every finding with its test and effect"))
    return [*files, ("Cite", "cite.txt", "How to cite this report")]


def _description(report: Report) -> str:
    """Return what search engines and previews of links show: what was measured, and the strongest claim."""
    measured = f"Importance of every attention head on {fmt.count(len(report.tasks), 'task')}."
    return " ".join([measured, *(printable(f"{c.headline}.") for c in report.claims.claims[:1])])


def template_notes(report: Report) -> list[str]:
    """Return what a page says of templates: those that stand in place of ours, and those that came with it and do
    not.
    """
    folder, left_out, notes = report.study.report.templates, report.provenance.get("templates_left_out"), list[str]()
    own = ", ".join(own_templates(folder)) if folder is not None else ""
    if own:
        notes.append(f"Overriding templates worded or set parts of this report in place of reportgen’s own: {own}.")
    if isinstance(left_out, list) and left_out:
        names = ", ".join(left_out)
        notes.append(f"Templates that came with the report were left out, and nothing of them ran: {names}.")
    return [printable(text) for text in notes]


def _with_notes(page: str, wanted: Sequence[str]) -> str:
    """Return the page, which says on its face what overriding templates made, whether or not one of them leaves that
    out.
    """
    missing = [escape(text) for text in wanted if escape(text) not in page]
    notes = "".join(f'<p class="banner" role="note">{text}</p>\n' for text in missing)
    body = re.search(r"<body\b[^>]*>\s*", page)
    start = body.end() if body else 0
    return page[:start] + notes + page[start:]


def policy(css: str, script: str = "") -> str:
    """Return the Content-Security-Policy of a page with this style sheet and no script but this one."""
    return CSP.format(_hash(css), _hash(script) if script else "'none'")


def _hash(text: str) -> str:
    """How a Content-Security-Policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _left_out(report: Report) -> list[str]:
    """Return the headings of sections that the study leaves out, of those that have a part before the appendix."""
    return [s.title for s in SECTIONS.own() if s.brief is not None and s.name not in report.sections]


def _rendered(fill: Fill, report: Report, brief: bool = False) -> tuple[list[Rendered], tuple[Plugin, ...]]:
    """Return the sections that have something to say, or their ``brief`` parts, and the report's plug-ins: one that
    raises is left out by name.
    """
    made, failed = list[Rendered](), dict[str, Exception | SystemExit]()
    ours = {section.name for section in SECTIONS.own()}
    for section in SECTIONS.chosen(report.sections, "[report] sections"):
        try:
            body = _body(fill, section, report, brief)
        except (Exception, SystemExit) as error:
            if section.name in ours:
                raise
            failed[section.name] = error
            continue
        if body is not None:
            listed = report.tasks if section.name == "tasks" and not brief else ()
            entries = tuple((t.anchor, t.name) for t in listed)
            made.append(Rendered(section.name.replace("_", "-"), section.title, body, entries, section.first))
    raised = (failed.get(p.name) if p.group == SECTIONS.group and not p.error else None for p in report.plugins)
    return made, tuple(p if e is None else p.failed(e) for p, e in zip(report.plugins, raised, strict=True))


def _body(fill: Fill, section: Section, report: Report, brief: bool) -> Markup | None:
    """Return a section, or its ``brief`` part: by a template of its own, of the first folder that has one."""
    make = section.brief if brief else section.view
    values = make(report) if make is not None else None
    if values is None:
        return None
    kinds = ("brief",) if brief else ("print", "sections") if report.printed else ("sections",)
    for folder in folders_of(report.study.report.templates):
        for name in (f"{kind}/{section.name}.j2" for kind in kinds):
            if (folder / name).is_file():
                return Markup(fill(name, values))
    return Markup(fill("sections/_default.j2", {"values": values}))
