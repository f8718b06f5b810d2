"""A report against the one that its scores, study and raw trials make here: bytes, or values where versions differ."""

import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reportgen import __version__
from reportgen.archive.checks import Check, Opened, plugins_of
from reportgen.archive.printed import letters, page_letters, stands, unlike_pdf
from reportgen.archive.text import visible_text
from reportgen.archive.values import unlike, unlike_json
from reportgen.core.kinds import kind_of
from reportgen.core.plugins import Plugin, as_recorded, installed, recorded_in
from reportgen.core.provenance import made_with, versions_here
from reportgen.errors import MissingResourceError
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.artifacts import CLAIMS
from reportgen.pipeline.cache_keys import report_key
from reportgen.pipeline.options import Options
from reportgen.pipeline.reading import open_folder, read_findings, read_trials
from reportgen.pipeline.run_directory import PDF, TEMPLATES, forms_of, found_hash
from reportgen.pipeline.source import open_study
from reportgen.rendering.pdf.document import boxed
from reportgen.storage.json_files import pretty_json, read_json
from reportgen.validation.recorded import recorded_differences, recorded_disagreements

OTHER = "other bytes come of the same scores and study"
SHOWN = 4  # claims that page and PDF show whatever else they have room for


@dataclass
class Remaking:
    """What a report is compared with, and what of it may be otherwise without anything being wrong."""

    report: Opened
    again: Path
    foreign: tuple[str, ...]
    trust: bool
    unchecked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = _changed_versions(self.report)
        self.version = self.report.manifest["reportgen"]
        self.plugins = _changed_plugins(self.report)

    @property
    def unprinted(self) -> bool:
        """Whether a PDF was to be made and could not."""
        return "pdf" in open_study(self.again).study.report.formats and not (self.again / PDF).is_file()

    def reasons(self) -> Iterator[str]:
        """Yield why not all can be compared, whatever the comparisons showed."""
        if self.version != __version__:
            hint = f"`pip install reportgen=={self.version}` gives the version that can check it"
            yield f"what follows from the scores: made with reportgen {self.version} (here {__version__}); {hint}"
        for p in self.plugins:
            if (here := installed(p)) is not None:  # one that is absent is named already
                yield f"what the {p} makes: made with {p.package} {p.version} ({here.version} here)"
        if self.foreign:
            yield f"what templates of its own made: {', '.join(self.foreign)} (--trust-templates uses them)"

    def same(self, name: str) -> bool:
        """Return whether a file is, to the byte, the one made again."""
        old = self.report.pdf if name == PDF else self.report.folder / name
        new = self.again / name
        return old is not None and old.is_file() and new.is_file() and old.read_bytes() == new.read_bytes()

    def may_differ(self, name: str) -> bool:
        """Return whether other code than what is here made a file, so that a difference accuses nobody."""
        if self.version != __version__:
            return True
        if self.plugins:
            return name != "scores.csv"
        tables = ("tables/findings.csv", "tables/findings.tex")
        worded = ("findings.json", "validation.json", "claims.json", "manifest.json", *tables, PDF)
        # the text alternatives of figures, and their captions, hold sentences
        prose = name.endswith((".html", ".css", ".js", ".jsonld", ".svg", "captions.tex"))
        return bool(self.foreign) and (prose or name in worded or name.startswith(f"{TEMPLATES}/"))

    def judged(self, what: str, wrong: str, name: str) -> Iterator[Check]:
        """Yield a check of a file, or note what cannot be checked of it."""
        if wrong and self.may_differ(name):
            self.unchecked.append(f"{what}: {wrong}")
        else:
            yield Check(what, wrong)

    def by_hash(self, what: str, name: str) -> Iterator[Check]:
        """Check a file of which only the hash is at hand, which is not that of the one made again."""
        if self.changed:
            self.unchecked.append(f"{name}: only its hash is here, and other versions may write other bytes")
        else:
            yield from self.judged(what, OTHER, name)

    def laid_out(self, what: str, name: str, old: Path, new: Path) -> Iterator[Check]:
        """Check a PDF of other bytes than the one made again: what it says is compared, how it looks cannot be."""
        found = unlike_pdf(old, new)
        wrong = f"{OTHER}: {found}" if found else OTHER if not self.changed else ""
        yield from self.judged(what, wrong, name)
        if not wrong:
            self.unchecked.append(f"{name}, where its letters stand and how they look: made with {self.changed}")


def remade(report: Opened, foreign: tuple[str, ...], trust: bool, unchecked: list[str]) -> Iterator[Check]:
    """Check everything against the report made again from scores, study and raw trials, as its manifest says."""
    claimed, plugins = report.manifest.get("versions", {}), recorded_in(report.manifest)
    with tempfile.TemporaryDirectory() as held, made_with(claimed), as_recorded(plugins):
        again = Path(held)
        try:
            pipeline.remake(
                report.folder,
                again,
                carry=report.folder,
                options=Options(separate_process=True, trust_templates=trust),
            )
        except MissingResourceError as error:
            if report.pdf is None or not (again / "manifest.json").is_file():
                raise
            unchecked.append(f"report.pdf: {error.problem}. {error.hint}")
        remaking = Remaking(report, again, () if trust else foreign, trust)
        yield from _findings(remaking)
        yield from _claims(remaking)
        yield from _validation(remaking)
        yield from _files(remaking)
        yield from _manifest(remaking)
        yield from _pdf(remaking)
        unsure = [n for n in ("report.html", PDF) if not remaking.same(n)]
        yield from sentences(report, unsure)
        unchecked += [*remaking.reasons(), *remaking.unchecked]


def _findings(remaking: Remaking) -> Iterator[Check]:
    """Check every finding against the one computed again."""
    recorded, again = (read_json(each / "findings.json") for each in (remaking.report.folder, remaking.again))
    others = {p.name for p in remaking.plugins if p.group == "reportgen.detectors"}
    exact = not remaking.changed

    def checked(what: str, old: object, new: object, kind: object = None) -> Iterator[Check]:
        wrong = unlike_json(old, new, exact)
        if wrong and (remaking.version != __version__ or kind in others):
            remaking.unchecked.append(f"{what}: {wrong}")
        else:
            yield Check(what, wrong)

    for field_ in ("schema", "scores", "alpha", "seed"):
        yield from checked(f"findings.json, {field_}", recorded.get(field_), again[field_])
    for field_ in ("families", "plugins"):
        stored, made = (
            [e for e in each.get(field_, []) if not {str(e.get("id")).split("/")[0], e.get("name")} & others]
            for each in (recorded, again)
        )
        yield from checked(f"findings.json, {field_}", stored, made)
    known = {f.get("id"): f for f in recorded.get("findings", [])}
    if len(known) != len(recorded.get("findings", [])):
        yield Check("findings.json", "a finding stands in it twice")
    for new in again["findings"]:
        old, what, kind = known.pop(new["id"], None), f"finding {new['id']}", _kind(new)
        if old is None:
            yield from checked(what, "not recorded", "it follows from the scores", kind)
            continue
        if remaking.foreign and old.get("sentence") != new["sentence"]:
            remaking.unchecked.append(f"{what}, its sentence: {old.get('sentence')}")
            old = {**old, "sentence": new["sentence"]}
        yield from checked(what, old, new, kind)
    for name, old in known.items():
        if _kind(old) in others:
            remaking.unchecked.append(f"finding {name}: it is of a plug-in")
        else:
            yield from checked(f"finding {name}", "recorded", "it does not follow from the scores", _kind(old))


def _claims(remaking: Remaking) -> Iterator[Check]:
    """Check every claim against the one that the findings and trials give."""
    if not (remaking.report.folder / CLAIMS).is_file():
        return
    recorded, again = (
        {c["id"]: c for c in read_json(each / CLAIMS)["claims"]} for each in (remaking.report.folder, remaking.again)
    )
    for name in dict.fromkeys([*again, *recorded]):
        old, new = recorded.get(name, "not recorded"), again.get(name, "it does not follow from the findings")
        wrong = unlike_json(old, new, exact=not remaking.changed)
        yield from remaking.judged(f"claim {name}", wrong, CLAIMS)


def _validation(remaking: Remaking) -> Iterator[Check]:
    """Check what validation.json says beside its raw outcomes against what follows from them, scores and study."""
    folder, trust = remaking.report.folder, remaking.trust
    if not (folder / "validation.json").is_file():
        return
    scores, source = open_folder(folder, trust_templates=trust)
    findings = read_findings(remaking.again)
    methods = scores.methods
    trials = read_trials(remaking.again, read_findings(remaking.again, open_folder(remaking.again)[0]))
    differences = [*recorded_disagreements(folder, findings, methods, source.study)]
    if trials.outcomes is not None:
        differences += recorded_differences(folder, trials)
    yield from remaking.judged("validation.json, derived again", "; ".join(differences), "validation.json")


def _kind(finding: dict[str, Any]) -> object:
    """Return the kind of a finding, or of those that its search did not find."""
    return (finding.get("data") or {}).get("searched") or finding.get("kind")


def _files(remaking: Remaking) -> Iterator[Check]:
    """Check every file of the manifest against the one made again: its bytes, or its values where versions differ."""
    report, made = remaking.report, read_json(remaking.again / "manifest.json")["files"]
    recorded = report.manifest["files"]
    for name in dict.fromkeys([*made, *recorded]):
        old, new, what = report.folder / name, remaking.again / name, f"{name}, made again"
        if name not in made:
            yield from remaking.judged(what, "nothing of the scores and study makes it", name)
        elif name not in recorded:
            yield from remaking.judged(what, "it follows from scores and study, and is not recorded", name)
        elif made[name] == recorded[name]:
            yield Check(what)
        elif not old.is_file():
            yield from remaking.by_hash(what, name)
        elif name.endswith(".pdf"):
            yield from remaking.laid_out(what, name, old, new)
        else:
            found = unlike(name, old.read_bytes(), new.read_bytes())
            wrong = f"{OTHER}: {found}" if found else OTHER if not remaking.changed else ""
            yield from remaking.judged(what, wrong, name)


def _manifest(remaking: Remaking) -> Iterator[Check]:
    """Check what the manifest says beside the files' hashes, and how it is written."""
    again = read_json(remaking.again / "manifest.json")
    report, recorded = remaking.report, remaking.report.manifest
    study = open_study(report.folder, trust_templates=remaking.trust).study
    # that of the findings as they are recorded, whose last digits may be others
    again["keys"]["report"] = report_key(study, found_hash(report.folder), forms_of(recorded))
    wrong = unlike_json({**recorded, "files": {}}, {**again, "files": {}}, exact=True)
    whole = pretty_json({**again, "files": recorded["files"]}).encode()
    if not wrong and (report.folder / "manifest.json").read_bytes() != whole:
        wrong = "it is not written as reportgen writes it"
    yield from remaking.judged("manifest.json, made again", wrong, "manifest.json")


def _pdf(remaking: Remaking) -> Iterator[Check]:
    """Check the PDF against the one made again, which carries the same files."""
    old, new, what = remaking.report.pdf, remaking.again / "report.pdf", "report.pdf, made again"
    if old is None and new.is_file():
        remaking.unchecked.append("report.pdf: its study asks for one, which is not here")
    elif old is not None and not new.is_file():
        if not remaking.unprinted:
            yield from remaking.judged(what, "its study asks for none", "report.pdf")
    elif old is not None and old.read_bytes() == new.read_bytes():
        yield Check(what)
    elif old is not None:
        yield from remaking.laid_out(what, "report.pdf", old, new)


def sentences(report: Opened, names: Collection[str]) -> Iterator[Check]:
    """Look for every claim, and every sentence of the findings, in the page and in the PDF, as far as these are named.

    Sentences of rankings stand there as rows of tables, which are made again. A PDF without an appendix has none of
    them, and on its first page at least the strongest claims.
    """
    printed_as = open_study(report.folder).study.report
    if not names or printed_as.sections is not None:
        return
    claims = read_json(report.folder / CLAIMS)["claims"] if (report.folder / CLAIMS).is_file() else []
    files = [f for name in ("findings.json", "validation.json") if (f := report.folder / name).is_file()]
    found = [f for file in files for f in read_json(file).get("findings", [])]
    worded = {f["id"]: str(f["sentence"]) for f in found if kind_of(str(f["kind"])).shown != "listed"}
    for name in names:
        if name == "report.pdf" and report.pdf is not None:
            printed = page_letters(report.pdf)
        elif (report.folder / name).is_file():
            printed = [letters(visible_text((report.folder / name).read_text(encoding="utf-8", errors="replace")))]
        else:
            continue
        short = name == "report.pdf" and printed_as.length == "brief"
        told = {f"claim {c['id']}, {part}": str(c[part]) for c in claims[:SHOWN] for part in ("headline", "body")}
        told |= {} if short else {f"sentence of {identifier}": sentence for identifier, sentence in worded.items()}
        for what, sentence in told.items():
            # what the fonts lack stands in the PDF as boxes, which are no letters
            sought = [letters(sentence), *([letters(boxed(sentence))] if name == "report.pdf" else [])]
            there = any(stands(each, printed) for each in sought)
            yield Check(f"{name}, {what}", "" if there else f"the sentence is not there: {sentence}")


def _changed_versions(report: Opened) -> str:
    """Return the versions that are not those the report was made with, as words; "" where all are."""
    recorded, here = report.manifest.get("versions", {}), versions_here()
    differ = [
        f"{name} {recorded.get(name, 'of unknown version')} (here {here[name]})"
        for name in here
        if recorded.get(name) != here[name]
    ]
    return ", ".join(differ)


def _changed_plugins(report: Opened) -> list[Plugin]:
    """Return the detectors and sections that are not here, or in another version; methods made the scores alone."""
    return [p for p in plugins_of(report) if installed(p) != p]
