"""reportgen: which attention heads matter, for which task, and how sure are we?

The public names load what they need when they are first used: ``import reportgen`` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"  # the one place; raised whenever what findings or verdicts say changes
__all__ = ["Finding", "HeadScores", "analyze", "build", "compare", "load_scores", "render", "score", "verify"]

_HOMES = {
    "Finding": "reportgen.core.findings",
    "HeadScores": "reportgen.core.scores",
    "analyze": "reportgen.analysis.analyze",
    "build": "reportgen.pipeline.build",
    "compare": "reportgen.archive.compare.compare",
    "load_scores": "reportgen.importers",
    "render": "reportgen.rendering.render",
    "score": "reportgen.scoring.score",
    "verify": "reportgen.archive.verify",
}

if TYPE_CHECKING:
    from reportgen.analysis.analyze import analyze
    from reportgen.archive.compare.compare import compare
    from reportgen.archive.verify import verify
    from reportgen.core.findings import Finding
    from reportgen.core.scores import HeadScores
    from reportgen.importers import load_scores
    from reportgen.pipeline.build import build
    from reportgen.rendering.render import render
    from reportgen.scoring.score import score


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reportgen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
