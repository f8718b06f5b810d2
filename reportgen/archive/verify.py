"""Whether a report is what it says: every hash, and all that follows from its scores made again and compared.

What a report claims of the versions that made it, of its plug-ins and templates switches no comparison off: it is made
again under these claims, and what then cannot be compared is named, and the word is *not fully verified*.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reportgen.archive.checks import DAMAGED, Check, Opened, opened, plugins_of
from reportgen.archive.remade import remade, sentences
from reportgen.archive.sign import signatures
from reportgen.archive.values import unlike_json
from reportgen.core.plugins import installed
from reportgen.core.provenance import versions_here
from reportgen.errors import InputError, MissingResourceError, ReportgenError
from reportgen.importers.report_pdf import attached, not_carried
from reportgen.pipeline.run_directory import PDF, SIGNATURES, foreign_templates
from reportgen.rendering.pdf.document import ATTACHED, is_sealed
from reportgen.storage.crate import CRATE, crate_json, described
from reportgen.storage.files import sha256, sha256_file
from reportgen.storage.json_files import read_json

VERIFIED, WITH_TEMPLATES = "verified", "verified, with templates of its own"
DIFFERS, NOT_FULLY = "differs", "not fully verified"
# 4 is no difference (1) and no error (2 for input, 3 for the machine): nothing differs, and something was not checked.
EXIT = {VERIFIED: 0, WITH_TEMPLATES: 0, DIFFERS: 1, NOT_FULLY: 4}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Verification:
    """What was compared; what could not be, and why; and what nothing but a signature can vouch for."""

    checks: tuple[Check, ...]
    unchecked: tuple[str, ...]
    trusted: tuple[str, ...]
    own_templates: bool = False
    signed_by: tuple[str, ...] = ()

    @property
    def differences(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if check.wrong]

    @property
    def not_recomputable(self) -> tuple[str, ...]:
        """All that was not computed again."""
        return self.unchecked + self.trusted

    @property
    def result(self) -> str:
        """The word: verified, differs, or not fully verified."""
        if self.differences:
            return DIFFERS
        return NOT_FULLY if self.unchecked else WITH_TEMPLATES if self.own_templates else VERIFIED


def verify(
    path: Path | str,
    *,
    quick: bool = False,
    progress: Progress = lambda *_: None,
    trust_templates: bool = False,
    signers: Path | None = None,
) -> Verification:
    """Compare a report, a folder or its PDF alone, with what it is made from.

    Hashes, seals and signatures are checked first; then the whole report is made again from scores, study and raw
    trials, and compared: byte for byte where the versions are the same, else as values. ``quick`` checks hashes, seals
    and signatures only. Templates that the report brings along are used with ``trust_templates``; ``signers`` is an
    allowed_signers file of OpenSSH. Raises InputError for what is no report, and for one of a newer version.
    """
    path = Path(path)
    checks, unchecked = list[Check](), list[str]()
    with opened(path) as report:
        progress("hashes and seals", 0, 1)
        checks += [*_hashes(report), *_seal(report), *_guarded(CRATE, lambda: _crate(report, unchecked))]
        signed = signatures(path, signers)
        checks += [Check(f"{s.file}, its signature", s.wrong) for s in signed if s.wrong or s.by]
        unchecked += [f"{s.file}: {s.unknown}" for s in signed if s.unknown]
        unchecked += _absent(report)
        foreign = foreign_templates(report.folder)
        if quick:
            unchecked.append("findings, sentences and pages: only hashes were asked for")
        elif large := _not_carried(report):
            names = ", ".join(f"{name} ({size / 1e6:,.1f} MB)" for name, size in large.items())
            unchecked.append(f"findings, figures, tables and pages: {names} did not fit into the PDF")
            checks += _guarded("sentences", lambda: sentences(report, (PDF,)))
        else:
            progress("making it again", 0, 1)
            checks += _guarded("made again", lambda: remade(report, foreign, trust_templates, unchecked))
        progress("compared", 1, 1)
        return Verification(
            tuple(checks),
            tuple(dict.fromkeys(unchecked)),
            tuple(_trusted(report)),
            bool(foreign),
            tuple(dict.fromkeys(s.by for s in signed if s.by)),
        )


def _guarded(what: str, step: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield the checks of a step, and one more where a damaged file ends it."""
    try:
        yield from step()
    except MissingResourceError:
        raise
    except ReportgenError as error:
        yield Check(what, str(error))
    except DAMAGED as error:
        yield Check(what, f"a file is damaged ({error!r})")


def _hashes(report: Opened) -> Iterator[Check]:
    """Check every file against the manifest; of a PDF alone, every attachment."""
    for name, entry in report.manifest["files"].items():
        path = report.folder / name
        if not path.is_file():
            if not report.alone:
                yield Check(name, "it is missing")
        elif entry != {"sha256": sha256_file(path), "size": path.stat().st_size}:
            yield Check(name, "its bytes are not those that the manifest records")
        else:
            yield Check(name)
    if report.alone:
        for name in sorted(_present(report.folder) - {*report.manifest["files"], "manifest.json"}):
            yield Check(name, "the manifest does not record it")


def _present(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def _not_carried(report: Opened) -> dict[str, int]:
    """Return, for a PDF alone, the scores files that did not fit into it, with their sizes in bytes."""
    large = not_carried(report.manifest) if report.alone else {}
    return {name: size for name, size in large.items() if not (report.folder / name).is_file()}


def _seal(report: Opened) -> Iterator[Check]:
    """Check the PDF's bytes against its seal, and its attachments against the folder's files."""
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


def _crate(report: Opened, unchecked: list[str]) -> Iterator[Check]:
    """Check the crate against one made again, where the folder has one."""
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
    same = path.read_bytes() == again.encode()
    if same or recorded == versions_here().get("rocrate") or not again:
        yield Check(CRATE, "" if same else "it does not describe the files that are here")
        return
    yield Check(CRATE, unlike_json(described(read_json(path)), described(json.loads(again)), exact=True))
    unchecked.append(f"{CRATE}, beside what it says of files, authors and date: made with rocrate {recorded}")


def _crate_names(folder: Path) -> set[str]:
    try:
        return set(described(read_json(folder / CRATE)))
    except (InputError, *DAMAGED):
        return set()


def _absent(report: Opened) -> Iterator[str]:
    """Yield what the report does not hold, and what lies beside it that nobody vouches for."""
    for name in report.manifest["files"]:
        if report.alone and (name in ATTACHED or name.startswith("scores")) and not (report.folder / name).is_file():
            yield f"{name} is not attached"
    known = {*report.manifest["files"], "manifest.json", "report.pdf", CRATE, *SIGNATURES}
    for name in sorted(_present(report.folder) - known if not report.alone else ()):
        if not any(part.startswith(".") for part in name.split("/")):
            yield f"{name}: it is no part of the report"
    for plugin in (p for p in plugins_of(report) if installed(p) is None):
        yield f"what the {plugin} makes: that package is not installed here"


def _trusted(report: Opened) -> Iterator[str]:
    """Yield the roots: what all else follows from, and what only a model, or a signature, could vouch for."""
    yield "the scores themselves: they come from a model, or from a file made elsewhere, that the report does not hold"
    if (report.folder / "validation.json").is_file():
        yield "validation.json: interventions need the model; verdicts are recomputed from what it records of them"
    if (report.folder / "patterns.json").is_file():
        yield "patterns.json: attention patterns need the model"
    if (report.folder / "study.toml").is_file():
        yield "study.toml: title, authors, notes and settings"
    else:
        yield "study.toml is absent: the settings are taken from the scores"
    yield "manifest.json: date, command, settings given with it, and the versions it names"


def as_json(found: Verification) -> dict[str, object]:
    """Return the outcome as JSON values."""
    return {
        "result": found.result,
        "holds": not found.differences,
        "differences": [{"what": c.what, "wrong": c.wrong} for c in found.differences],
        "not_checked": list(found.unchecked),
        "taken_on_trust": list(found.trusted),
        "not_recomputable": list(found.not_recomputable),
        "signed_by": list(found.signed_by),
        "held": [c.what for c in found.checks if not c.wrong],
    }


def lines(found: Verification) -> Sequence[str]:
    """Return the outcome for a terminal: what differs, was not checked, is taken on trust; and last the word."""
    shown = [f"differs: {c.what}: {c.wrong}" for c in found.differences]
    shown += [f"not checked: {each}" for each in found.unchecked]
    shown += [f"taken on trust: {each}" for each in found.trusted]
    shown += [f"signed by {who}" for who in found.signed_by]
    held = len(found.checks) - len(found.differences)
    return [*shown, f"{found.result}: {held} of {len(found.checks)} checks hold"]
