"""HeadScores in, Findings out."""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reportgen.analysis.detectors import DETECTORS
from reportgen.analysis.view import Detector, Outcome, Settings, View
from reportgen.errors import InputError
from reportgen.findings import Finding, Findings
from reportgen.prose import Prose
from reportgen.scores import HeadScores


def analyze(scores: HeadScores, settings: Settings = Settings(), prose: Prose | None = None) -> Findings:  # noqa: B008
    """Run every detector on the scores; ``prose`` writes the sentences (the shipped templates by default).

    Raises InputError for a detector name that does not exist.
    """
    view, outcomes = View(scores, settings), list[Outcome]()
    for detector in chosen(settings.detectors):
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice|Mean of empty slice", RuntimeWarning)
            outcomes.append(detector.detect(view, outcomes))
    write = (prose or Prose()).sentence
    findings = [replace(f, sentence=write(f)) for f in numbered([f for o in outcomes for f in o.findings])]
    families = [o.family for o in outcomes if o.family is not None and o.family.size > 0]
    return Findings({}, settings.alpha, settings.seed, families, findings)


def chosen(names: Sequence[str] | None) -> list[Detector]:
    """The detectors of those names in the order of DETECTORS; all for None."""
    known = [d.kind for d in DETECTORS]
    for name in names or ():
        if name not in known:
            raise InputError(f"no detector is called {name!r}", "[analysis] detectors", f"Known: {', '.join(known)}")
    return [d for d in DETECTORS if names is None or d.kind in names]


def slug(name: str) -> str:
    """A task name as part of an id: lower case, words joined by hyphens."""
    return re.sub(r"[\W_]+", "-", name.lower()).strip("-") or "task"


def numbered(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with ids ``kind/task/1``; names that give one slug get separate numbers."""
    seen: Counter[str] = Counter()
    result = []
    for finding in findings:
        stem = f"{finding.kind}/{slug(finding.task) if finding.task else 'all'}"
        seen[stem] += 1
        result.append(replace(finding, id=f"{stem}/{seen[stem]}"))
    return result
