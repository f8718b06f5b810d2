"""Two reports that most tests look at: one with its PDF, one of the page alone."""

from pathlib import Path

import pytest
from made_archives import EPOCH, build, make_scores


@pytest.fixture(autouse=True)
def epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with its PDF."""
    return _built(tmp_path_factory.mktemp("whole"), ("html", "pdf"))


@pytest.fixture(scope="session")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report without PDF, which is quicker to make again."""
    return _built(tmp_path_factory.mktemp("paged"), ("html",))


def _built(place: Path, formats: tuple[str, ...]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        return build(place / "study", make_scores(), place / "report", formats=formats).folder
