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
from reportgen.core.trials import Validation, from_json, to_json
from reportgen.errors import InputError
from reportgen.storage.files import remove, write_atomic
from reportgen.storage.json_files import key_of, pretty_json, read_json
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
    validation = _stored(folder, key)
    if validation is None:
        from reportgen.validation.validate import validate

        found = validate(study, plain, methods, progress=progress, parts=folder / PARTS, notify=notify)
        validation = replace(found, key=key)
        write_atomic(folder / FILE, pretty_json(to_json(validation)))
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    return _written(findings, judged(plain, validation, prose), folder)


def carry_verdicts(findings: Findings, archive: Path, folder: Path, prose: Prose) -> Findings:
    """The findings, made again from an archive's scores, with the verdicts of the archive's own validation.

    Interventions need the model, which an archive does not hold: its validation.json is copied into ``folder``, and the
    verdicts follow from it. An archive without one is one without verdicts.
    """
    if not (archive / FILE).is_file():
        return findings
    validation = from_json(read_json(archive / FILE), str(archive / FILE))
    write_atomic(folder / FILE, (archive / FILE).read_bytes())
    return _written(findings, judged(bare(findings, prose), validation, prose), folder)


def read_validation(folder: Path, findings: Findings) -> Validation | None:
    """The validation that the folder's findings carry the verdicts of; None where there is none."""
    if not any(f.verdict for f in findings.findings):
        return None
    try:
        found = from_json(read_json(folder / FILE), str(folder / FILE))
    except InputError:
        return None
    return found if found.scores == findings.scores else None


def _stored(folder: Path, key: str) -> Validation | None:
    try:
        found = from_json(read_json(folder / FILE), FILE)
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
