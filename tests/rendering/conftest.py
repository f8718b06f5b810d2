"""One rendered folder that most tests look at."""

import pytest
from made_reports import HOSTILE, build, make_scores


@pytest.fixture(autouse=True)
def _epoch(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """A report with examples, intervals, a task at chance and hostile names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        folder = tmp_path_factory.mktemp("report")
        build(folder, make_scores(("Recall", *HOSTILE), examples=24), provenance={"command": "reportgen build x"})
    return folder
