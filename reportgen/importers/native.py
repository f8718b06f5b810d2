"""reportgen's own scores.safetensors."""

from dataclasses import replace
from pathlib import Path

from reportgen.importers.record import Importer
from reportgen.scores import HeadScores
from reportgen.store import read_scores
from reportgen.study import ScoresSection


def claims(path: Path) -> bool:
    """By extension."""
    return path.suffix.lower() == ".safetensors"


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read scores that reportgen wrote; a ``kv_groups`` given beside them fills one they lack."""
    scores, _ = read_scores(path)
    if section.kv_groups is not None and scores.model.kv_groups is None:
        return replace(scores, model=replace(scores.model, kv_groups=section.kv_groups))
    return scores


IMPORTER = Importer("reportgen", "scores.safetensors as reportgen writes it", claims, load)
