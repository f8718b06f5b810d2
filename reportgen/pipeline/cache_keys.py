"""What makes scores, findings and reports the same: the keys by which finished work is found again."""

from collections.abc import Sequence
from pathlib import Path

from reportgen import __version__
from reportgen.core.config import ModelSection, Study
from reportgen.core.findings import Findings, to_json
from reportgen.core.plugins import identity
from reportgen.core.provenance import versions
from reportgen.core.sentences import template_folder
from reportgen.errors import InputError
from reportgen.pipeline.anonymize import last_part
from reportgen.storage.files import sha256_file
from reportgen.storage.json_files import key_of
from reportgen.storage.scores_file import read_methods

# Keys of [tasks] that came later: where they are not set, the key is that of studies written before
LATER = ("answer_prefix", "chat_template_kwargs", "target_language", "max_length", "suite", "suites", "lengths")
LATER_OF_SCORES = ("columns", "separator", "decimal", "index_base", "key", "rest")  # the same of [scores]
# Characters of a key of scores: the first are of what is asked, the others of the model's files; 128 bits each.
HALF = 32


def scores_key(study: Study) -> str:
    """Hash what makes scores the same: the task file and all that says how heads are scored, then the model's files."""
    if study.scores is not None:
        if not study.scores.path.is_file():
            raise InputError("no such file", str(study.scores.path), "Check [scores] path, or the path you gave")
        unset = {name for name in LATER_OF_SCORES if getattr(study.scores, name) in (None, {})}
        section = study.scores.model_dump(mode="json", exclude={"path", "bounds", *unset})
        return key_of(["scores", sha256_file(study.scores.path), section])
    from reportgen.scoring.data.suite_rows import fingerprint as offered
    from reportgen.scoring.data.tasks import fingerprint

    if study.model is None:
        raise InputError("there is no model to score", "study.toml", "Give [model] path, or [scores] path")
    unset = {name for name in LATER if not getattr(study.tasks, name)}
    tasks = study.tasks.model_dump(mode="json", exclude={"path", "groups", "control", *unset})
    model = study.model.model_dump(mode="json", exclude={"path", "adapter"})
    if isinstance(study.model.adapter, bool) or not Path(study.model.adapter or ".").exists():
        model["adapter"] = study.model.adapter  # one on this machine is known by its files, wherever it lies
    scoring = study.scoring.model_dump(mode="json", exclude={"executor", "address"})  # who computes changes no number
    names = [study.scoring.method, *study.scoring.also]
    read = [] if study.tasks.path is None else [fingerprint(study.tasks)]
    made = [*offered(study.tasks), *identity("suites", study.tasks.asked)]
    # earlier versions kept the first rows of a task, whatever their groups
    drawn = [] if study.tasks.limit is None else ["of all groups"]
    asked = key_of(["model", *read, tasks, model, scoring, *identity("methods", names), *made, *drawn])
    return asked[:HALF] + key_of([_model_files(study.model) or study.model.path])[:HALF]


def finished_key(study: Study, folder: Path) -> str | None:
    """Return the key of a folder's finished scores where they are all that is left of the study's model: asked for
    alike, of a model of that path, which holds no model any more. None where it does, or where the scores are of
    something else.
    """
    if study.model is None or _model_files(study.model):
        return None
    try:
        stored, made_under = read_methods(folder)
    except InputError:
        return None
    recorded, named = next(iter(stored.values()))[0].model.path, study.model_as_written or study.model.path
    same = recorded is not None and last_part(recorded) == last_part(named)
    return made_under if same and made_under[:HALF] == scores_key(study)[:HALF] else None


def _model_files(section: ModelSection) -> list[tuple[str, str]]:
    from reportgen.scoring.model.folders import files

    return [(path.name, sha256_file(path)) for path in files(section)]


def findings_key(study: Study, hashes: dict[str, str]) -> str:
    """Hash what makes findings the same: the scores, the settings and the sentence templates."""
    words = _templates_hash(study, "observations/*.j2")
    asked = [study.tasks.groups, study.tasks.control, study.scores and study.scores.bounds]
    others_own = identity("detectors", study.analysis.detectors)
    return key_of([__version__, hashes, study.analysis.model_dump(mode="json"), asked, words, *others_own])


def _templates_hash(study: Study, pattern: str) -> dict[str, str]:
    folders = [template_folder(), *([study.report.templates] if study.report.templates else [])]
    return {
        f"{i}/{p.relative_to(f).as_posix()}": sha256_file(p)
        for i, f in enumerate(folders)
        for p in sorted(f.glob(pattern))
        if p.is_file() and p.suffix in (".j2", ".css", ".js")
    }


def report_key(study: Study, findings: str, figures: Sequence[str]) -> str:
    """Hash what makes a report the same: its findings, what is printed, and the templates, wherever they lie."""
    sections = study.model_dump(mode="json", include={"study", "report"}, exclude={"report": {"templates"}})
    others_own = identity("sections", study.report.sections)
    return key_of(
        [__version__, findings, sections, list(figures), _templates_hash(study, "**/*"), versions(), *others_own]
    )


def validation_key(study: Study, findings: Findings) -> str:
    """Hash what makes a validation the same: what was found in which scores, and how it is put to the test."""
    found = [{k: v for k, v in f.items() if k != "sentence"} for f in to_json(findings)["findings"]]
    asked = study.validation.model_dump(mode="json", exclude={"enabled"})
    return key_of([findings.scores, findings.alpha, found, asked, study.tasks.control, versions()])
