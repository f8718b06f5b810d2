"""The corpus of small files in tests/data/files: each is read as what it means, or refused with its message."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files import refusal, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reportgen.core.config import ScoresSection
from reportgen.importers import load_blocks, load_scores

CORPUS = Path(__file__).parents[1] / "data" / "files"
EXPECTED: dict[str, dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))
READ = "Read as: "


def test_every_file_of_the_corpus_is_expected() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*EXPECTED, "expected.json"}
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_is_read_as_what_it_means(name: str) -> None:
    told, path = EXPECTED[name], CORPUS / name
    section = ScoresSection.model_validate({"path": path, **told.get("section", {})})
    if "message" in told:
        assert refusal(path, **told.get("section", {})) == told["message"]
        return
    (scores,) = load_blocks(path, section)
    means = np.array([[[np.nan if x is None else x for x in row] for row in task] for task in told["means"]])
    np.testing.assert_allclose(scores.importance, means, rtol=1e-6)
    unscored = 0 if scores.unscored is None else int(scores.unscored.sum())
    assert unscored == told.get("unscored", 0)
    notes = [note.removeprefix(READ) for note in scores.model.notes if note.startswith(READ)]
    if "said" in told:
        assert ", ".join(notes) == ", ".join(told["said"])
    if "tasks" in told:
        assert list(scores.task_names) == told["tasks"]
    if "unit" in told:
        assert scores.method.unit == told["unit"]
    if "examples" in told:
        assert scores.examples[0] is not None
        assert len(scores.examples[0].ids) == told["examples"]


HEADERS = (
    ("task", "layer", "head", "importance"),
    ("Task", "layer_idx", "Head ID", "Score"),
    ("task", "L", "H", "value"),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    thousands=st.sampled_from(["", " ", "'", "\u202f"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    header=st.sampled_from(HEADERS),
    index=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    values=st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 5)), min_size=6, max_size=6),
)
def test_any_dialect_of_a_table_means_the_same(
    tmp_path: Path,
    separator: str,
    decimal: str,
    thousands: str,
    encoding: str,
    header: tuple[str, ...],
    index: bool,
    end: str,
    values: list[float],
) -> None:
    """A decimal comma whose every number could be one of thousands is the one case that no reader can tell."""
    values = [*values[:-1], 0.25]
    cells = [f"{v:_.5f}".replace(".", decimal).replace("_", thousands) for v in values]
    rows = [["Wörter", str(i // 3), str(i % 3), cell] for i, cell in enumerate(cells)]
    table = [list(header), *rows]
    if index:
        table = [[*([""] if not n else [str(n - 1)]), *row] for n, row in enumerate(table)]
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=end).writerows(table)
    scores = load_scores(written(tmp_path, out.getvalue().encode(encoding)))
    np.testing.assert_array_equal(scores.importance.ravel(), np.array(values, dtype=np.float32))
    assert scores.task_names == ("Wörter",)
