"""Files to import, and what is said of those that cannot be."""

from pathlib import Path

import numpy as np
import pytest

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.errors import InputError
from reportgen.importers import load_scores
from reportgen.storage.scores_file import read_scores, scores_bytes


def written(folder: Path, content: str | bytes, name: str = "scores.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, **section: object) -> str:
    """The message that a file (with these keys of [scores]) is refused with, without its folder."""
    with pytest.raises(InputError) as caught:
        load_scores(path, ScoresSection.model_validate({"path": path, **section}))
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(path.parent) + "/", "")


def load(path: Path, **section: object) -> HeadScores:
    """The scores, once through reportgen's own file, so that all that an importer says is known to travel."""
    scores = load_scores(path, ScoresSection.model_validate({"path": path, **section}))
    (again,), _ = read_scores(written(path.parent, scores_bytes(scores), "again.safetensors"))
    np.testing.assert_array_equal(again.importance, scores.importance)
    assert (again.method, again.model, again.tasks, again.reduction) == (
        scores.method,
        scores.model,
        scores.tasks,
        scores.reduction,
    )
    return scores
