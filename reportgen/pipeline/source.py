"""From a path to the study behind it: one's own, the one that came with a report, which is another's, or the usual one
of a model or of scores.

A report is data. Templates run, so those that came with one are left out unless they are trusted by name, whether they
lie in its folder ``templates`` or its study.toml or manifest points at them anywhere else.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from reportgen.core.config import HUB_ID, TASK_SUFFIXES, ScoresSection, Study, StudySection
from reportgen.core.config_file import load_study, parse_study, with_overrides
from reportgen.core.suites import SUITES
from reportgen.errors import InputError
from reportgen.pipeline import anonymize as anonymous
from reportgen.pipeline.run_directory import TEMPLATES, foreign_templates, manifest_in, recorded_overrides
from reportgen.storage.scores_file import SCORES

OVERRIDING = "report.templates"
SUFFIXES = (".toml", *TASK_SUFFIXES, ".npz", ".npy", ".pt", ".safetensors", ".pdf", ".gguf")  # of files, not of hub ids
POINTED_AT = "[report] templates of its study.toml"


@dataclass(frozen=True)
class Source:
    """What a run starts from: the study, the values that the command line sets over it, and what is not used of it.

    ``left_out`` are the templates that the report carried which this one is made from, where they were not trusted;
    ``of_model``: the study is the usual one of a model, which its author has not seen.
    """

    study: Study
    overrides: Mapping[str, object]
    left_out: tuple[str, ...] = ()
    of_model: bool = False

    def __post_init__(self) -> None:
        if self.study.report.anonymous:
            object.__setattr__(self, "study", anonymous.anonymous(self.study))
            object.__setattr__(self, "overrides", anonymous.overrides(self.overrides))


def open_source(path: Path, overrides: Mapping[str, object], *, trust_templates: bool = False) -> Source:
    """Open the study behind a path; a scores file takes the study.toml beside it that names it, or a default study.

    A model's folder, GGUF file or hub id is scored on the usual suites. A study.toml in a report's folder came with the
    report: its templates are left out unless they are trusted. Raises InputError for a folder that holds neither.
    """
    if _is_model(path):
        study = _usual_study(path)
        return Source(with_overrides(study, overrides, path), overrides, of_model=True)
    if path.is_dir():
        path = path / "study.toml"
    if path.suffix.lower() == ".toml" or not path.exists():
        return _own(load_study(path), overrides, path, trust_templates)
    beside = path.parent / "study.toml"
    if beside.is_file():
        study = load_study(beside)
        if study.scores is not None and study.scores.path.resolve() == path.resolve():
            return _own(study, overrides, beside, trust_templates)
    name = path.name.encode(errors="replace").decode()  # TOML holds no name that is no UTF-8
    title = f"Attention-head importance: {Path(name).stem}"
    text = tomli_w.dumps({"study": {"title": title}, "scores": {"path": name}})
    plain = Study(study=StudySection(title=title), scores=ScoresSection(path=path), source=text)
    return Source(with_overrides(plain, overrides, path), overrides)


def _is_model(path: Path) -> bool:
    """Return whether a path is that of a model and not of a study; raises InputError for a folder that is neither."""
    from reportgen.scoring.model.folders import ADAPTER, CONFIG

    if path.is_dir() and not (path / "study.toml").exists():
        if not any(path.glob("*.gguf")) and not any((path / name).is_file() for name in (ADAPTER, CONFIG)):
            raise InputError(
                f"the folder holds no study.toml, and no model: neither {CONFIG}, {ADAPTER} nor a GGUF file",
                str(path),
                "Give the folder of a study or a model, or make a study with `reportgen init`",
            )
        return True
    if path.is_file():
        return path.suffix.lower() == ".gguf"
    # what stands beside something on this machine is a path of this machine that is wrong
    return HUB_ID.fullmatch(str(path)) is not None and path.suffix.lower() not in SUFFIXES and not path.parent.exists()


def _usual_study(path: Path) -> Study:
    """Return the study of a model on which nothing is asked: the usual suites, their neutral text as the control."""
    suites = [suite for suite in SUITES.known() if suite.usual]
    control = [suite.control for suite in suites if suite.control is not None]
    name = (path.stem if path.is_file() else path.resolve().name).encode(errors="replace").decode()
    content = {
        "study": {"title": f"Attention-head importance: {name}"},
        "model": {"path": str(path)},
        "tasks": {"suites": [suite.name for suite in suites], **({"control": control[0]} if control else {})},
    }
    return parse_study(content, str(path), Path.cwd(), tomli_w.dumps(content))


def _own(study: Study, overrides: Mapping[str, object], path: Path, trust: bool) -> Source:
    folder = path.parent
    if not (folder / "manifest.json").is_file() or OVERRIDING in overrides:
        return Source(with_overrides(study, overrides, path), overrides)
    named = study.report.templates is not None
    study, left_out = _of_a_report(study, folder, trust)
    if named and not foreign_templates(folder):
        left_out = (POINTED_AT,)
    return Source(with_overrides(study, overrides, path), overrides, left_out)


def open_study(folder: Path, overrides: Mapping[str, object] | None = None, *, trust_templates: bool = False) -> Source:
    """Open the study of an output folder, with the values that were set over it.

    What it says of templates elsewhere is not followed; those in the folder are used where they are trusted.
    """
    path, manifest, asked = folder / "study.toml", manifest_in(folder), overrides or {}
    recorded = recorded_overrides(folder)
    study = load_study(path) if path.is_file() else Study(scores=ScoresSection(path=folder / SCORES))
    left_out: tuple[str, ...] = ()
    if OVERRIDING not in asked:
        pointed_at = (POINTED_AT,) if study.report.templates is not None and not manifest else ()
        study, left_out = _of_a_report(study, folder, trust_templates)
        before = manifest.get("templates_left_out")
        left_out = left_out or (tuple(map(str, before)) if isinstance(before, list) else pointed_at)
    earlier = {name: value for name, value in recorded.items() if name != OVERRIDING}
    return Source(with_overrides(study, {**earlier, **asked}, path), {**recorded, **asked}, left_out)


def _of_a_report(study: Study, folder: Path, trust: bool) -> tuple[Study, tuple[str, ...]]:
    """Return the study with no templates but those that the report's folder holds, where they are trusted; else their
    names.

    Raises InputError for trusted ones that are links: they might lead to any file of the machine.
    """
    carried = foreign_templates(folder)
    if not carried or not trust:
        return _with_templates(study, None), carried
    for name in (TEMPLATES, *carried):
        if not (folder / name).resolve().is_relative_to(folder.resolve() / TEMPLATES):
            raise InputError("a link leads out of the report's templates", str(folder / name), "Remove the link")
    return _with_templates(study, folder / TEMPLATES), ()


def _with_templates(study: Study, folder: Path | None) -> Study:
    return study.model_copy(update={"report": study.report.model_copy(update={"templates": folder})})


def check(study: Study) -> None:
    """Refuse detectors, sections and templates that do not exist, before any work is done for them.

    Control characters in what the study says of itself are refused too: no page and no PDF can hold them.
    """
    about = study.study
    for name, text in (("title", about.title), *(("authors", a) for a in about.authors), ("notes", about.notes)):
        for char in text if name != "notes" else text.replace("\n", " ").replace("\r", " ").replace("\t", " "):
            if unicodedata.category(char) == "Cc":
                raise InputError(f"it holds the control character U+{ord(char):04X}", f"[study] {name}", "Remove it")
    templates = study.report.templates
    if templates is not None and not templates.is_dir():
        raise InputError("no such folder", f"[report] templates = {templates}", "Give a folder of templates")
    from reportgen.analysis.analyze import chosen
    from reportgen.rendering.sections.common import SECTIONS

    chosen(study.analysis.detectors)
    SECTIONS.chosen(study.report.sections, "[report] sections")
