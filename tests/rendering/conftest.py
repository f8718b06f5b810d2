"""One rendered folder that most tests look at, and one with its PDF."""

import pytest
from made_reports import HOSTILE, build, make_scores, make_study


@pytest.fixture(autouse=True)
def _epoch(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def _built(folder, **study):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        scores = make_scores(("Recall", *HOSTILE), examples=24)
        build(folder, scores, study=make_study(**study), provenance={"command": "reportgen build x"})
    return folder


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """A page with examples, intervals, a task at chance and hostile names."""
    return _built(tmp_path_factory.mktemp("report"), formats=["html"])


@pytest.fixture(scope="session")
def printed(tmp_path_factory):
    """The same with its PDF."""
    return _built(tmp_path_factory.mktemp("printed"))
