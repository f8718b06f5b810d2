"""index(): one page over a folder of reports, of which only those that changed are read again."""

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import TypeAdapter, ValidationError

from reportgen.archive.pages import rendered
from reportgen.core.blocks import title
from reportgen.core.claims import ClaimsFile
from reportgen.core.scores import HeadScores
from reportgen.errors import InputError, ReportgenError
from reportgen.pipeline.reading import open_folder, read_claims, read_findings, read_trials
from reportgen.rendering.format import count
from reportgen.rendering.plots.canvas import png, printable
from reportgen.rendering.plots.drawing import style_of
from reportgen.storage.files import sha256_file, write_atomic
from reportgen.storage.json_files import pretty_json, read_json
from reportgen.storage.manifest import Manifest, checked_manifest

PAGE = "index.html"
CACHE = ".reportgen-index.json"
SCHEMA = "reportgen/index/2"
TOP = 4  # claims shown of each report, as many as its own first screen has
MADE_BY = '<meta name="generator" content="reportgen">'
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Entry:
    """What the page shows of a report. ``manifest`` is its manifest's sha256, ``picture`` a PNG as a data address."""

    manifest: str
    title: str
    model: str
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    shape: str
    created: str
    synthetic: bool
    page: str
    count: int
    top: tuple[tuple[tuple[str, ...], str, str], ...]
    picture: str
    pictured: str


@dataclass(frozen=True)
class Index:
    """The reports on the page by their address under it, the newest first; the folders skipped, and why.

    ``read`` is how many were read, the others being known from the last time.
    """

    page: Path
    entries: dict[str, Entry]
    skipped: dict[str, str]
    read: int


_KNOWN = TypeAdapter(dict[str, Entry])


def index(folder: Path | str, *, progress: Progress = lambda *_: None) -> Index:
    """Write index.html over the reports in a folder, at any depth, and beside it what is known of each.

    A report whose manifest is the one of the last time is not read again, unless a file is missing or of another size;
    a broken one is skipped and named. The same reports give the same bytes. Raises InputError for a folder that holds
    no report, is one, or has an index.html of another maker.
    """
    folder = Path(folder)
    _refuse_strange(folder)
    known, entries, skipped, read = _known(folder), dict[str, Entry](), dict[str, str](), 0
    found = list(_folders(folder))
    if not found:
        raise InputError("there is no report in it", str(folder), "Give a folder that holds folders of reports")
    for i, report in enumerate(found):
        progress("reports", i, len(found))
        name = report.relative_to(folder)
        try:
            manifest, digest = _whole(report)
            address = quote(os.fsencode(name))  # a colon is quoted, so that no name is read as a scheme
            old = known.get(address)
            if old is None or old.manifest != digest or not (report / old.page).is_file():
                old, read = _entry(report, manifest, digest), read + 1
            entries[address] = old
        except ReportgenError as error:
            location = error.location.removeprefix(str(report)).lstrip(os.sep)
            skipped[printable(str(name))] = printable(f"{location}: {error.problem}" if location else error.problem)
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            skipped[printable(str(name))] = printable(f"a file is damaged ({type(error).__name__})")
    progress("reports", len(found), len(found))
    newest = sorted(sorted(entries.items()), key=lambda item: item[1].created, reverse=True)
    made = Index(folder / PAGE, dict(newest), skipped, read)
    write_atomic(made.page, page(made))
    write_atomic(folder / CACHE, pretty_json({"schema": SCHEMA, "reports": {a: asdict(e) for a, e in newest}}))
    return made


def _refuse_strange(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError("no such folder", str(folder), "Check the path")
    if (folder / "manifest.json").exists():
        raise InputError("this is a report, not a folder of reports", str(folder), "Give the folder that it lies in")
    page = folder / PAGE
    if page.exists() and MADE_BY not in page.read_text(encoding="utf-8", errors="replace"):
        raise InputError("reportgen did not write this page", str(page), "Move it away, or give another folder")


def _known(folder: Path) -> dict[str, Entry]:
    """Read the entries of the last time; none where that file is missing, damaged or of another version."""
    try:
        content = read_json(folder / CACHE)
        return _KNOWN.validate_python(content["reports"]) if content["schema"] == SCHEMA else {}
    except (InputError, ValidationError, KeyError, TypeError):
        return {}


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders below that hold a report, or part of one; look into no hidden one, and into no report."""
    for parent, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if {"manifest.json", "report.html", "findings.json"} & {*files}:
            inner.clear()
            yield Path(parent)


def _whole(report: Path) -> tuple[Manifest, str]:
    """Read a report's manifest and its sha256; raises InputError where a file in it is missing or of another size."""
    path = report / "manifest.json"
    manifest = checked_manifest(read_json(path), str(path))
    for name, entry in manifest["files"].items():
        try:
            size = os.stat(os.path.join(report, name)).st_size
        except OSError as error:
            raise InputError("the file is missing", str(report / name), "Make the report again") from error
        if size != entry["size"]:
            problem = f"it has {count(size, 'byte')}, and {entry['size']} in the manifest"
            raise InputError(problem, str(report / name), "Make the report again")
    return manifest, sha256_file(path)


def _entry(report: Path, manifest: Manifest, digest: str) -> Entry:
    for name in ("findings.json", "claims.json", "study.toml"):
        if name in manifest["files"] and sha256_file(report / name) != manifest["files"][name]["sha256"]:
            raise InputError("its hash is not that of the manifest", str(report / name), "Make the report again")
    page = next((name for name in ("report.html", "report.pdf") if (report / name).is_file()), None)
    if page is None:
        raise InputError("it has neither page nor PDF", str(report), "Run `reportgen render` on it")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", manifest["created"]):
        raise InputError(f"{manifest['created']!r} is no moment", "manifest.json: created", "Make the report again")
    scores, source = open_folder(report)
    trials, first = read_trials(report, read_findings(report, scores)), scores.blocks[0]
    claims, findings = read_claims(report, trials), trials.findings
    return Entry(
        manifest=digest,
        title=claims.title or source.study.study.title or "Attention-head importance",
        model=first.model.path or "not recorded",
        methods=tuple(scores.methods),
        tasks=tuple(first.task_names),
        shape=", ".join(f"{title(b.block)} {b.n_layers} × {b.n_heads}".strip() for b in scores.blocks),
        created=manifest["created"],
        synthetic=first.synthetic,
        page=page,
        count=len(findings.findings),
        top=tuple((c.badges, c.headline, c.body) for c in claims.claims[:TOP]),
        picture=_picture(first),
        pictured=", ".join(part for part in (first.task_names[0], title(first.block)) if part),
    )


def _picture(scores: HeadScores) -> str:
    """Draw the first task's map, a pixel a head and layer 0 on top, in the colours of the report's own figures."""
    pixels = style_of(scores, "viridis", "down").scale.colours(scores.importance[0])
    return f"data:image/png;base64,{b64encode(png(pixels)).decode()}"


def page(made: Index) -> str:
    """Return index.html."""
    values = [
        {**asdict(e), "href": f"{address}/{e.page}", "folder": unquote(address)} for address, e in made.entries.items()
    ]
    newest = next((e.created[:10] for e in made.entries.values()), "")
    return rendered(
        "index.html.j2",
        title=count(len(values), "report"),
        date=newest,
        reports=values,
        skipped=made.skipped,
        nothing=ClaimsFile().nothing,
    )


def lines(made: Index) -> list[str]:
    """Return the index for a terminal."""
    summary = f"{count(len(made.entries), 'report')}: {made.read} read, {len(made.entries) - made.read} unchanged"
    return [str(made.page), summary, *(f"skipped {name}: {why}" for name, why in made.skipped.items())]


def as_json(made: Index) -> dict[str, object]:
    """Return the index as plain JSON values."""
    return {"page": str(made.page), "reports": list(made.entries), "read": made.read, "skipped": made.skipped}
