"""Single stages in a run directory, as the commands run them."""

from pathlib import Path
from typing import Any

from reportgen.core.findings import Findings
from reportgen.core.listener import Listener
from reportgen.core.study_scores import Scores
from reportgen.pipeline.artifacts import FindingsArtifact, ReportArtifact, Run, ScoresArtifact
from reportgen.pipeline.options import Options
from reportgen.pipeline.reading import open_folder, read_findings, read_trials
from reportgen.pipeline.source import Source
from reportgen.summary.summarize import summarize


def obtain_scores(source: Source, folder: Path, *, force: bool = False, **heard: Any) -> Scores:
    return ScoresArtifact(Run(folder, source, Options(Listener(**heard)), force)).obtain()


def obtain_findings(scores: Scores, source: Source, folder: Path) -> Findings:
    return FindingsArtifact(Run(folder, source), scores).obtain()


def render_folder(folder: Path, overrides: dict[str, Any] | None = None, **options: Any) -> Path:
    scores, source = open_folder(folder, overrides)
    claims = summarize(read_trials(folder, read_findings(folder, scores)))
    return ReportArtifact(Run(folder, source, Options(**options)), claims).obtain()
