"""reportgen: which attention heads matter, for which task, and how sure are we?

Five stages as functions that compose, and ``build`` for all of them in one folder::

    import reportgen

    scores = reportgen.score("study.toml")
    findings = reportgen.analyze(scores)
    trials = reportgen.validate(findings)
    claims = reportgen.summarize(trials)
    report = reportgen.render(claims, "out")

The public names load what they need when they are first used: ``import reportgen`` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.4.0"

_HOMES = {
    "Built": "reportgen.pipeline.build",
    "Claim": "reportgen.core.claims",
    "Claims": "reportgen.core.claims",
    "Comparison": "reportgen.archive.compare.model",
    "Examples": "reportgen.core.scores",
    "Finding": "reportgen.core.findings",
    "Findings": "reportgen.core.findings",
    "Head": "reportgen.core.scores",
    "HeadScores": "reportgen.core.scores",
    "InputError": "reportgen.errors",
    "Listener": "reportgen.core.listener",
    "Method": "reportgen.core.scores",
    "MissingResourceError": "reportgen.errors",
    "Model": "reportgen.core.scores",
    "Options": "reportgen.pipeline.options",
    "ReportgenError": "reportgen.errors",
    "Scores": "reportgen.core.study_scores",
    "ScoresSection": "reportgen.core.config",
    "Study": "reportgen.core.config",
    "Task": "reportgen.core.scores",
    "Trial": "reportgen.core.trials",
    "Trials": "reportgen.core.trials",
    "Validation": "reportgen.core.trials",
    "Verification": "reportgen.archive.verify",
    "analyze": "reportgen.pipeline.stages",
    "build": "reportgen.pipeline.build",
    "compare": "reportgen.archive.compare.compare",
    "load_scores": "reportgen.importers",
    "load_study": "reportgen.core.config_file",
    "render": "reportgen.pipeline.stages",
    "score": "reportgen.pipeline.stages",
    "summarize": "reportgen.pipeline.stages",
    "validate": "reportgen.pipeline.stages",
    "verify": "reportgen.archive.verify",
}
__all__ = [*_HOMES]

if TYPE_CHECKING:
    from reportgen.archive.compare.compare import compare as compare
    from reportgen.archive.compare.model import Comparison as Comparison
    from reportgen.archive.verify import Verification as Verification
    from reportgen.archive.verify import verify as verify
    from reportgen.core.claims import Claim as Claim
    from reportgen.core.claims import Claims as Claims
    from reportgen.core.config import ScoresSection as ScoresSection
    from reportgen.core.config import Study as Study
    from reportgen.core.config_file import load_study as load_study
    from reportgen.core.findings import Finding as Finding
    from reportgen.core.findings import Findings as Findings
    from reportgen.core.listener import Listener as Listener
    from reportgen.core.scores import Examples as Examples
    from reportgen.core.scores import Head as Head
    from reportgen.core.scores import HeadScores as HeadScores
    from reportgen.core.scores import Method as Method
    from reportgen.core.scores import Model as Model
    from reportgen.core.scores import Task as Task
    from reportgen.core.study_scores import Scores as Scores
    from reportgen.core.trials import Trial as Trial
    from reportgen.core.trials import Trials as Trials
    from reportgen.core.trials import Validation as Validation
    from reportgen.errors import InputError as InputError
    from reportgen.errors import MissingResourceError as MissingResourceError
    from reportgen.errors import ReportgenError as ReportgenError
    from reportgen.importers import load_scores as load_scores
    from reportgen.pipeline.build import Built as Built
    from reportgen.pipeline.build import build as build
    from reportgen.pipeline.options import Options as Options
    from reportgen.pipeline.stages import analyze as analyze
    from reportgen.pipeline.stages import render as render
    from reportgen.pipeline.stages import score as score
    from reportgen.pipeline.stages import summarize as summarize
    from reportgen.pipeline.stages import validate as validate


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reportgen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
