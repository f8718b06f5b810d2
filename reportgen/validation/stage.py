"""The stage between analysis and rendering: what was found is put to the test, unless it was already."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.findings import to_json as findings_json
from reportgen.core.provenance import versions
from reportgen.core.sentences import Prose
from reportgen.core.trials import RawValidation, Validation
from reportgen.errors import InputError
from reportgen.storage.files import remove, write_atomic
from reportgen.storage.json_files import key_of, pretty_json, read_json
from reportgen.storage.scores_file import SCORES, read_scores
from reportgen.validation.derive import derive
from reportgen.validation.recorded import folded_json, from_json, refuse_strangers, strangers, to_json
from reportgen.validation.verdicts import bare, judged

FILE = "validation.json"
PARTS = ".validation"  # finished parts of an unfinished validation, under the output folder
Progress = Callable[[str, int, int], None]


def obtain_verdicts(
    study: Study,
    findings: Findings,
    methods: Mapping[str, Blocks],
    folder: Path,
    *,
    progress: Progress,
    notify: Callable[[str], None],
) -> Findings:
    """The findings with verdicts, from the folder where neither findings, settings nor versions have changed.

    Writes validation.json and findings.json. Without a model, or where the study turns it off, the findings stay as the
    analysis made them.
    """
    prose = Prose(study.report.templates)
    plain = bare(findings, prose)
    if study.model is None or not study.validation.enabled:
        remove(folder / FILE)
        return _written(findings, plain, folder)
    key = _key(study, plain)
    raw = _stored(folder, key, next(iter(methods.values())))
    if raw is None:
        from reportgen.validation.validate import validate

        found = validate(study, plain, methods, progress=progress, parts=folder / PARTS, notify=notify)
        raw = replace(found, key=key)
    validation = _derived(raw, folder)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    return _written(findings, judged(plain, validation, prose), folder)


def carry_verdicts(findings: Findings, archive: Path, folder: Path, prose: Prose) -> Findings:
    """The findings, made again from an archive's scores, with the verdicts that its raw outcomes give.

    Interventions need the model, which an archive does not hold: the outcomes in its validation.json are written into
    ``folder``, where the scores lie, with what follows from them. An archive without one is one without verdicts.
    Raises InputError for outcomes that are damaged, or of other tasks or heads.
    """
    if not (archive / FILE).is_file():
        return findings
    raw = from_json(read_json(archive / FILE), str(archive / FILE))
    refuse_strangers(raw, read_scores(folder / SCORES)[0], str(archive / FILE))
    return _written(findings, judged(bare(findings, prose), _derived(raw, folder), prose), folder)


def _derived(raw: RawValidation, folder: Path) -> Validation:
    """All that follows from the outcomes, which the folder's file then holds with no other verdicts than these."""
    validation, path = derive(raw), folder / FILE
    content = folded_json(to_json(raw, validation)).encode()
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)
    return validation


def read_validation(folder: Path, findings: Findings) -> Validation | None:
    """All that follows from the outcomes that the folder's findings carry the verdicts of; None where there are none.

    Raises InputError for a damaged file.
    """
    if not any(f.verdict for f in findings.findings) or not (folder / FILE).is_file():
        return None
    raw = from_json(read_json(folder / FILE), str(folder / FILE))
    return derive(raw) if raw.scores == findings.scores else None


def recorded_differences(folder: Path) -> list[str]:
    """What the folder's validation.json says beside its raw outcomes and does not follow from them, one line each.

    Empty where all follows, and where there is no such file. Raises InputError for a damaged one.
    """
    if not (folder / FILE).is_file():
        return []
    plain = read_json(folder / FILE)
    raw = from_json(plain, str(folder / FILE))
    again = to_json(raw, derive(raw))
    stored = plain.get("verdicts")
    stored, derived = stored if isinstance(stored, dict) else {}, again["verdicts"]
    told = [
        f"verdicts.{name}: {stored.get(name)!r} is recorded, {derived.get(name)!r} follows from the outcomes"
        for name in derived | stored
        if stored.get(name) != derived.get(name)
    ]
    if not told and (folder / FILE).read_text(encoding="utf-8") != folded_json(again):
        told.append("it is not written as its own outcomes are")
    return told


def strange_settings(folder: Path, findings: Findings, methods: Mapping[str, Blocks], study: Study) -> list[str]:
    """What the folder's validation.json says of sets, examples and settings and does not follow from the scores, the
    findings and the study, one line each; empty where all follows, and where there is no such file.

    ``methods`` are the scores by method, the first method first. Raises InputError for a damaged file, and for one of
    other tasks or heads.
    """
    if not (folder / FILE).is_file():
        return []
    raw = from_json(read_json(folder / FILE), str(folder / FILE))
    refuse_strangers(raw, next(iter(methods.values())), str(folder / FILE))
    return strangers(raw, findings, methods, study)


def _stored(folder: Path, key: str, blocks: Blocks) -> RawValidation | None:
    try:
        found = from_json(read_json(folder / FILE), FILE)
        refuse_strangers(found, blocks, FILE)
    except InputError:
        return None  # missing or damaged: made again
    return found if found.key == key and found.problem is None else None


def _key(study: Study, findings: Findings) -> str:
    """What makes a validation the same: what was found in which scores, and how it is put to the test."""
    found = [{k: v for k, v in f.items() if k != "sentence"} for f in findings_json(findings)["findings"]]
    asked = study.validation.model_dump(mode="json", exclude={"enabled"})
    return key_of([findings.scores, findings.alpha, found, asked, study.analysis.margin, versions()])


def _written(before: Findings, after: Findings, folder: Path) -> Findings:
    if after != before:
        write_atomic(folder / "findings.json", pretty_json(findings_json(after)))
    return after
