"""Whether a report is what it says: every hash, every finding recomputed, every sentence and number compared."""

import math
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from reportgen.archive.text import visible_text
from reportgen.core.findings import to_json
from reportgen.core.plugins import ABSENT, Plugin, as_recorded, installed, recorded_in
from reportgen.core.provenance import versions
from reportgen.core.sentences import Prose
from reportgen.errors import InputError, ReportgenError
from reportgen.importers.report_pdf import attached, manifest_of, not_carried, reading
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.run_directory import scores_hashes
from reportgen.rendering.pdf.document import ATTACHED, is_sealed, spelled
from reportgen.storage.crate import CRATE, crate_json
from reportgen.storage.files import sha256, sha256_file, write_atomic
from reportgen.storage.json_files import read_json
from reportgen.storage.manifest import checked_manifest
from reportgen.storage.scores_file import scores_csv
from reportgen.validation.stage import carry_verdicts

AGREEMENT = 1e-5  # what is promised across versions of numpy and scipy, relative
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Check:
    """One thing that was compared: what it is, and what is wrong with it ("" where it holds)."""

    what: str
    wrong: str = ""


@dataclass(frozen=True)
class Verification:
    """What was compared, and what could not be and why."""

    checks: tuple[Check, ...]
    not_recomputable: tuple[str, ...]

    @property
    def differences(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if check.wrong]


@dataclass(frozen=True)
class Opened:
    """A report in a folder: its own, or for a PDF alone one with its attachments."""

    folder: Path
    pdf: Path | None
    manifest: dict[str, Any]
    alone: bool
    trust_templates: bool = False


def verify(
    path: Path | str, *, quick: bool = False, progress: Progress = lambda *_: None, trust_templates: bool = False
) -> Verification:
    """Compare a report, a folder or its PDF alone, with what it is made from.

    Hashes and seals are checked first; then findings are computed again from the scores, sentences are looked up in
    page and PDF, and the whole report is made again and compared byte for byte where the versions are the same.
    ``quick`` checks hashes and seals only. Raises InputError for what is no report, and for one of a newer version.
    """
    path = Path(path)
    checks, missing = list[Check](), list[str]()
    with opened(path) as found:
        report = replace(found, trust_templates=trust_templates)
        progress("hashes and seals", 0, 1)
        checks += [*_hashes(report), *_seal(report), *_crate(report)]
        missing += _absent(report)
        if quick:
            return Verification(tuple(checks), (*missing, "findings, sentences and pages: only hashes were asked for"))
        steps: tuple[Callable[[Opened, list[str]], Iterator[Check]], ...] = (_scores, _findings, _sentences, _remade)
        if large := _not_carried(report):
            steps = (_sentences,)
            told = ", ".join(f"{name} ({size / 1e6:,.1f} MB)" for name, size in large.items())
            missing.append(f"findings, figures, tables and pages: {told} did not fit into the PDF")
        for i, step in enumerate(steps):
            progress("comparing", i, len(steps))
            try:
                with as_recorded(recorded_in(report.manifest)):
                    checks += step(report, missing)
            except ReportgenError as error:
                checks.append(Check(step.__name__.strip("_"), str(error)))
            except (AttributeError, KeyError, TypeError) as error:
                checks.append(Check(step.__name__.strip("_"), f"a file is damaged ({error!r})"))
        progress("comparing", len(steps), len(steps))
    return Verification(tuple(checks), tuple(dict.fromkeys(missing)))


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """The report at a path, a PDF unpacked for as long as it is looked at."""
    if path.is_dir():
        if not (path / "manifest.json").is_file():
            raise InputError(
                "this folder holds no report (no manifest.json)", str(path), "Give a report's folder or PDF"
            )
        pdf = path / "report.pdf"
        manifest = checked_manifest(read_json(path / "manifest.json"), str(path / "manifest.json"))
        yield Opened(path, pdf if pdf.is_file() else None, manifest, alone=False)
        return
    files = attached(path)
    with tempfile.TemporaryDirectory() as held:
        for name, data in files.items():
            write_atomic(Path(held) / name, data)
        yield Opened(Path(held), path, manifest_of(files, path), alone=True)


def _hashes(report: Opened) -> Iterator[Check]:
    """Every file against the manifest; of a PDF alone, every attachment."""
    for name, entry in report.manifest["files"].items():
        path = report.folder / name
        if not path.is_file():
            if not report.alone:
                yield Check(name, "it is missing")
        elif sha256_file(path) != entry.get("sha256") or path.stat().st_size != entry.get("size"):
            yield Check(name, "its bytes are not those that the manifest records")
        else:
            yield Check(name)
    if report.alone:
        for name in sorted(_present(report.folder) - {*report.manifest["files"], "manifest.json"}):
            yield Check(name, "the manifest does not record it")


def _present(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def _not_carried(report: Opened) -> dict[str, int]:
    """Of a PDF alone, the scores files that did not fit into it, with their sizes."""
    large = not_carried(report.manifest) if report.alone else {}
    return {name: size for name, size in large.items() if not (report.folder / name).is_file()}


def _seal(report: Opened) -> Iterator[Check]:
    """The PDF's bytes against its seal, and its attachments against the folder's files."""
    if report.pdf is None:
        if "report.pdf" in _crate_names(report.folder):
            yield Check("report.pdf", "it is missing")
        return
    holds = is_sealed(report.pdf.read_bytes())
    yield Check("report.pdf", "" if holds else "its bytes are not those that it was sealed with")
    if report.alone:
        return
    try:
        carried = attached(report.pdf)
    except InputError as error:
        yield Check("report.pdf, attachments", str(error))
        return
    for name, data in carried.items():
        same = (report.folder / name).is_file() and sha256_file(report.folder / name) == sha256(data)
        yield Check(f"report.pdf, attachment {name}", "" if same else "it is not the folder's file")


def _crate(report: Opened) -> Iterator[Check]:
    """The crate against one made again, where the folder has one."""
    if report.alone:
        return
    path, recorded = report.folder / CRATE, report.manifest.get("versions", {}).get("rocrate")
    if not path.is_file():
        yield Check(CRATE, "it is missing")
        return
    try:
        again = crate_json(report.folder)
    except (ReportgenError, KeyError, OSError):
        again = ""  # a file that it describes is missing
    same = path.read_text(encoding="utf-8", errors="replace") == again
    if not same and recorded == versions().get("rocrate"):
        yield Check(CRATE, "it does not describe the files that are here")
    else:
        yield Check(CRATE)


def _crate_names(folder: Path) -> set[str]:
    try:
        graph = read_json(folder / CRATE)["@graph"]
        return {entry["@id"] for entry in graph}
    except (InputError, KeyError, TypeError):
        return set()


def _absent(report: Opened) -> Iterator[str]:
    """What the report does not hold, or what only a model could tell."""
    if not (report.folder / "study.toml").is_file():
        yield "study.toml is absent: the settings are taken from the scores"
    for name in report.manifest["files"]:
        if report.alone and (name in ATTACHED or name.startswith("scores")) and not (report.folder / name).is_file():
            yield f"{name} is not attached"
    for name in sorted(_present(report.folder) - {*report.manifest["files"], "manifest.json", "report.pdf", CRATE}):
        if not report.alone:
            yield f"{name}: it is no part of the report"
    for plugin in _plugins_absent(report):
        yield f"what the {plugin} makes: that package is not installed here"
    if (report.folder / "validation.json").is_file():
        yield "validation.json: interventions need the model; verdicts are recomputed from what it records of them"
    if (report.folder / "patterns.json").is_file():
        yield "patterns.json: attention patterns need the model"
    yield "the scores themselves: they come from a model, or from a file made elsewhere, that the report does not hold"


def _plugins(report: Opened) -> list[Plugin]:
    """The plug-ins that made the report, whether they failed or not."""
    return [replace(p, error="") for p in recorded_in(report.manifest) if p.error != ABSENT]


def _plugins_absent(report: Opened) -> list[Plugin]:
    """Those that are not here."""
    return [p for p in _plugins(report) if installed(p) is None]


def _scores(report: Opened, missing: list[str]) -> Iterator[Check]:
    """The readable table of scores against the exact ones."""
    blocks, _, _ = pipeline.open_folder(report.folder, trust_templates=report.trust_templates)
    path = report.folder / "scores.csv"
    if path.is_file():
        same = path.read_text(encoding="utf-8", errors="replace") == scores_csv(blocks)
        yield Check("scores.csv against scores.safetensors", "" if same else "their numbers differ")


def _findings(report: Opened, missing: list[str]) -> Iterator[Check]:
    """Every finding, computed again from the scores."""
    recorded = read_json(report.folder / "findings.json")
    blocks, others, source = pipeline.open_folder(report.folder, trust_templates=report.trust_templates)
    with tempfile.TemporaryDirectory() as held:
        for name in scores_hashes(report.folder):
            write_atomic(Path(held) / name, (report.folder / name).read_bytes())
        made = pipeline.obtain_findings(blocks, source, Path(held), others=others)
        again = to_json(carry_verdicts(made, report.folder, Path(held), Prose(source.study.report.templates)))
    exact = not _changed_versions(report) and not any(installed(p) not in (None, p) for p in _plugins(report))
    absent = {p.name for p in _plugins_absent(report) if p.group == "reportgen.detectors"}
    for field in ("schema", "scores", "alpha", "seed"):
        yield Check(f"findings.json, {field}", _unlike(recorded.get(field), again[field], exact))
    for field in ("families", "plugins"):
        told = [e for e in recorded.get(field, []) if not {str(e.get("id")).split("/")[0], e.get("name")} & absent]
        made_again = [e for e in again.get(field, []) if e.get("name") not in absent]
        yield Check(f"findings.json, {field}", _unlike(told, made_again, exact))
    known = {f.get("id"): f for f in recorded.get("findings", []) if not _speaks_of(f, absent)}
    for finding in again["findings"]:
        written = known.pop(finding["id"], None)
        yield Check(
            f"finding {finding['id']}",
            "it follows from the scores and is not recorded" if written is None else _unlike(written, finding, exact),
        )
    for name in known:
        yield Check(f"finding {name}", "it does not follow from the scores")
    if not exact:
        missing.append("the last digits of the findings: versions differ, so they were compared to 1e-5")


def _speaks_of(finding: dict[str, Any], kinds: set[str]) -> bool:
    """Whether a finding is of one of the kinds, or tells that a search for one found nothing."""
    return bool({finding.get("kind"), (finding.get("data") or {}).get("searched")} & kinds)


def _unlike(recorded: Any, again: Any, exact: bool, at: str = "") -> str:
    """Where two JSON values differ first, "" where they do not."""
    if isinstance(recorded, dict) and isinstance(again, dict):
        for key in again | recorded:
            place = f"{at}.{key}".lstrip(".")
            if key not in recorded or key not in again:
                return f"{place} is {'not recorded' if key in again else 'not one of its fields'}"
            if found := _unlike(recorded[key], again[key], exact, place):
                return found
        return ""
    if isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        pairs = enumerate(zip(recorded, again, strict=True))
        return next((found for i, pair in pairs if (found := _unlike(*pair, exact, f"{at}[{i}]"))), "")
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (recorded, again))
    if recorded == again or (numbers and not exact and math.isclose(recorded, again, rel_tol=AGREEMENT)):
        return ""
    return f"{at or 'it'} is {recorded!r}, computed again {again!r}"


def _sentences(report: Opened, missing: list[str]) -> Iterator[Check]:
    """Every sentence of the findings, in the page and in the PDF."""
    source = pipeline.open_study(report.folder)
    if source.study.report.sections is not None:
        missing.append("the findings' sentences on page and PDF: the study prints chosen sections only")
        return
    sentences = {f["id"]: str(f["sentence"]) for f in read_json(report.folder / "findings.json")["findings"]}
    for name, sheets in _printed(report):
        for identifier, sentence in sentences.items():
            # what the PDF's fonts lack stands there as code points
            sought = _letters(spelled(sentence) if name == "report.pdf" else sentence)
            wrong = "" if _stands(sought, sheets) else f"the sentence is not there: {sentence}"
            yield Check(f"{name}, sentence of {identifier}", wrong)


def _printed(report: Opened) -> Iterator[tuple[str, list[str]]]:
    """The letters of the page, and of each sheet of the PDF."""
    page = report.folder / "report.html"
    if page.is_file():
        source = page.read_text(encoding="utf-8", errors="replace")
        yield page.name, [_letters(visible_text(source))]
    if report.pdf is not None:
        with reading(report.pdf) as reader:
            sheets = [_letters(sheet.extract_text()) for sheet in reader.pages]
        yield "report.pdf", sheets


def _letters(text: str) -> str:
    """Letters and digits alone: lines, hyphens and ligatures of a typeset page fall out of the comparison."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())


def _stands(sought: str, sheets: Sequence[str]) -> bool:
    """Whether the letters stand on a sheet, or begin on one and end on the next."""
    return any(sought in sheet for sheet in sheets) or any(
        sought[:cut] in sheet and sought[cut:] in following
        for sheet, following in pairwise(sheets)
        for cut in range(1, len(sought))
    )


def _remade(report: Opened, missing: list[str]) -> Iterator[Check]:
    """Every file against the report made again from scores and study, byte for byte."""
    if changed := ", ".join(filter(None, [_changed_versions(report), *dict.fromkeys(_changed_plugins(report))])):
        missing.append(f"figures, tables, page and PDF byte for byte: made with {changed}")
        return
    with tempfile.TemporaryDirectory() as held:
        again = pipeline.remake(report.folder, Path(held), trust_templates=report.trust_templates)
        files = read_json(again.folder / "manifest.json")["files"]
        for name in files | report.manifest["files"]:
            same = files.get(name) == report.manifest["files"].get(name)
            yield Check(f"{name}, made again", "" if same else "other bytes come of the same scores and study")
        recorded = {k: v for k, v in report.manifest.items() if k != "files"}
        made = {k: v for k, v in read_json(again.folder / "manifest.json").items() if k != "files"}
        yield Check("manifest.json, made again", _unlike(recorded, made, exact=True))
        if report.pdf is not None and again.pdf.is_file():
            same = report.pdf.read_bytes() == again.pdf.read_bytes()
            yield Check("report.pdf, made again", "" if same else "other bytes come of the same scores and study")


def _changed_versions(report: Opened) -> str:
    """The versions that are not those the report was made with, as words; "" where all are."""
    recorded, here = report.manifest.get("versions", {}), versions()
    differ = [
        f"{name} {recorded.get(name, 'of unknown version')} (here {here[name]})"
        for name in here
        if recorded.get(name) != here[name]
    ]
    return ", ".join(differ)


def _changed_plugins(report: Opened) -> Iterator[str]:
    """The packages of plug-ins that are not here, or in another version; those of methods made the scores alone."""
    for plugin in _plugins(report):
        here = installed(plugin)
        if here != plugin and plugin.group != "reportgen.methods":
            yield f"{plugin.package} {plugin.version} ({'not installed' if here is None else here.version} here)"


def lines(found: Verification) -> Sequence[str]:
    """The outcome for a terminal: what differs, what was not compared, and how many things hold."""
    shown = [f"differs: {c.what}: {c.wrong}" for c in found.differences]
    shown += [f"not recomputable: {each}" for each in found.not_recomputable]
    held = len(found.checks) - len(found.differences)
    return [*shown, f"{held} of {len(found.checks)} checks hold"]
