"""More than a report can hold is refused before any work is done for it; much is read without a copy of all of it."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from reportgen.core.config import TasksSection
from reportgen.core.scores import MOST_TASKS, Examples, HeadScores, Method, Task
from reportgen.errors import InputError
from reportgen.importers import load_scores
from reportgen.scoring.data.tasks import read_tasks
from reportgen.storage.scores_file import read_scores, scores_bytes, stored_key

pytestmark = pytest.mark.slow

TOLD = "10,000 tasks are more than a report can show (1,000). Let rows of one kind share a task's name, or make several"


def test_very_many_tasks_of_scores_are_refused_by_number(tmp_path: Path) -> None:
    path, names = tmp_path / "scores.npz", np.array([f"Task {t}" for t in range(10_000)])
    np.savez(path, importance=np.ones((10_000, 2, 2), np.float32), tasks=names)
    with pytest.raises(InputError) as error:
        load_scores(path)
    assert str(error.value) == f"{path}: {TOLD} reports."
    table = tmp_path / "scores.csv"
    table.write_text("task,layer,head,importance\n" + "".join(f"{name},0,0,1\n" for name in names))
    with pytest.raises(InputError) as error:
        load_scores(table)
    assert str(error.value) == f"{table}: {TOLD} reports."
    np.savez(path, importance=np.ones((MOST_TASKS, 2, 2), np.float32), tasks=names[:MOST_TASKS])
    assert len(load_scores(path).tasks) == MOST_TASKS


def test_very_many_tasks_of_a_study_are_refused_before_a_model_is_read(tmp_path: Path) -> None:
    rows = [json.dumps({"task": f"Task {t}", "prompt": "a", "answer": "b", "id": str(t)}) + "\n" for t in range(10_000)]
    (tmp_path / "tasks.jsonl").write_text("".join(rows))
    with pytest.raises(InputError) as error:
        read_tasks(TasksSection(path=tmp_path / "tasks.jsonl"))
    assert str(error.value) == f"{tmp_path / 'tasks.jsonl'}: {TOLD} reports."
    (tmp_path / "tasks.jsonl").write_text("".join(rows[:MOST_TASKS]))
    assert len(read_tasks(TasksSection(path=tmp_path / "tasks.jsonl")).tasks) == MOST_TASKS


def test_scores_are_stored_and_their_key_is_read_without_further_copies(tmp_path: Path) -> None:
    ids, values = tuple(map(str, range(400))), np.ones((400, 64, 64), np.float32)
    examples = Examples(values, ids, ids, np.arange(400) % 2 == 0)
    scores = HeadScores(values.mean(axis=0)[None], (Task("a"),), Method("m"), examples=(examples,))
    path = tmp_path / "scores.safetensors"
    tracemalloc.start()
    path.write_bytes(scores_bytes(scores, "key"))
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    assert stored_key(path) == "key"
    assert tracemalloc.get_traced_memory()[1] < 0.1 * values.nbytes
    tracemalloc.reset_peak()
    assert read_scores(path)[1] == "key"
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written < 1.2 * values.nbytes
    assert read < 1.2 * values.nbytes
