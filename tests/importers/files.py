"""Files to import, and what is said of those that cannot be."""

from pathlib import Path

import pytest

from reportgen.core.config import ScoresSection
from reportgen.errors import InputError
from reportgen.importers import load_scores


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
