"""Runs that are cut short, gone on with, or started twice: what is kept, what is refused, and that no byte changes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load, save_file
from test_score import broken, forwards
from tiny_models import ROWS, build, word_tokenizer

from reportgen.core.config import Study
from reportgen.errors import InputError, MissingResourceError
from reportgen.scoring.run.prepare import prepare
from reportgen.scoring.run.progress import RunProgress
from reportgen.scoring.run.shards import shard_bytes, shards_of
from reportgen.scoring.run.worker import Worker
from reportgen.scoring.score import score
from reportgen.storage import remote_folders as places
from reportgen.storage.remote_folders import StorageFolder
from reportgen.storage.scores_file import scores_bytes

pytestmark = pytest.mark.slow

Make = Callable[..., Study]
HINT = (
    "Undo it, choose another folder with -o, or accept it with --force, "
    "which keeps the shards that it leaves as they are."
)


def written(study: Study, **rest: Any) -> dict[str, bytes]:
    """The bytes of all scores files of a run."""
    return {name: scores_bytes(blocks) for name, blocks in score(study, **rest).items()}


@pytest.fixture
def long(study_of: Make) -> Study:
    """A study of several shards: shards of one batch each for the ablation, of a task for the others."""
    rows = [{**row, "group": row["id"]} for row in ROWS]
    return study_of(
        rows=rows, also=["mean_ablation", "probe"], batch_size=1, parameters={"probe": {"epochs": 1, "folds": 3}}
    )


def test_units_are_shards_of_a_task_whose_scores_depend_on_nothing_else(study_of: Make) -> None:
    study = study_of(
        "gpt2",
        rows=[{**ROWS[0], "id": f"r{i}"} for i in range(24)],
        batch_size=1,
        also=["zero_ablation", "mean_ablation"],
    )
    shards = shards_of(prepare(study))
    ablation = [shard for shard in shards if shard.method == "zero_ablation"]
    assert len({shard.key for shard in shards}) == len(shards)
    assert len(ablation) > 1
    assert sum(unit.examples for unit in ablation) == 24
    forward, backward = Worker(prepare(study)), Worker(prepare(study))
    one = {u.key: shard_bytes(u.key, forward.score(u, lambda _: None)) for u in shards}
    other = {u.key: shard_bytes(u.key, backward.score(u, lambda _: None)) for u in reversed(shards)}
    assert one == other


def test_a_run_cut_short_anywhere_ends_with_the_same_bytes(long: Study, tmp_path: Path) -> None:
    whole, all_shards = (
        written(long, checkpoints=tmp_path / "whole"),
        sorted((tmp_path / "whole").glob("*.safetensors")),
    )
    for kept in range(len(all_shards)):
        folder = tmp_path / f"kept {kept}"
        folder.mkdir()
        (folder / "run.json").write_bytes((tmp_path / "whole" / "run.json").read_bytes())
        for path in all_shards[:kept]:
            (folder / path.name).write_bytes(path.read_bytes())
        assert written(long, checkpoints=folder) == whole
        assert [p.name for p in sorted(folder.glob("*.safetensors"))] == [p.name for p in all_shards]


def test_a_killed_run_repeats_only_the_unit_it_was_at(
    long: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = tmp_path / "checkpoints"
    code = (
        "import sys; from pathlib import Path; from reportgen.core.config import Study\n"
        "from reportgen.scoring.score import score\n"
        "import torch; torch.set_num_threads(1)\n"
        "study = Study.model_validate_json(sys.stdin.read())\n"
        "score(study, checkpoints=Path(sys.argv[1]), progress=lambda *step: print(*step, flush=True))"
    )
    command = [sys.executable, "-c", code, str(checkpoints)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(long.model_dump_json(exclude_unset=True))
        process.stdin.close()
        next(line for line in process.stdout if line.startswith("mean_ablation: 1 of 2 shards"))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert (checkpoints / "lock").exists()  # which does not keep the next run out
    there = set(checkpoints.glob("*.safetensors"))
    before = {path: path.stat().st_mtime_ns for path in there}
    steps: list[str] = []
    assert written(long, checkpoints=checkpoints, progress=lambda said, *_: steps.append(said)) == written(long)
    assert {path: path.stat().st_mtime_ns for path in there} == before
    assert steps[0].startswith("gate_gradient: 2 of 2 shards")  # there already


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: [{**rows[0], "answer": "five"}, *rows[1:]], "task count: row 'c0' changed"),
        (lambda rows: rows[1:], "task count: row 'c0' is gone"),
        (
            lambda rows: [*rows, {**rows[0], "id": "n1"}, {**rows[0], "id": "n2"}],
            "task count: row 'n1' is new, and 1 others",
        ),
        (lambda rows: rows[:4], "task colour is gone"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "the rows stand in another order"),
    ],
)
def test_a_changed_task_file_is_refused_with_what_changed(
    study_of: Make, tmp_path: Path, change: Callable[[Any], Any], told: str
) -> None:
    checkpoints = tmp_path / "checkpoints"
    score(study_of(), checkpoints=checkpoints)
    before = {path: path.read_bytes() for path in checkpoints.iterdir()}
    with pytest.raises(InputError) as caught:
        score(study_of(rows=change(ROWS)), checkpoints=checkpoints)
    assert str(caught.value) == (
        f"{checkpoints}: the unfinished run in it was started with other inputs: {tmp_path}/tasks.jsonl: {told}. {HINT}"
    )
    assert {path: path.read_bytes() for path in checkpoints.iterdir()} == before  # finished shards stay
    accepted = written(study_of(rows=change(ROWS)), checkpoints=checkpoints, restart=True)
    assert accepted == written(study_of(rows=change(ROWS)))


def test_other_settings_another_model_and_another_version_are_refused(
    study_of: Make, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    score(study_of(), checkpoints=checkpoints)

    def refused(study: Study) -> str:
        with pytest.raises(InputError) as caught:
            score(study, checkpoints=checkpoints)
        return str(caught.value).removeprefix(
            f"{checkpoints}: the unfinished run in it was started with other inputs: "
        )

    assert refused(study_of(batch_size=3, seed=4)) == (
        f"[scoring] batch_size is 3, was 32; [scoring] seed is 4, was 0. {HINT}"
    )
    other = broken(folder_of("llama"), tmp_path / "other")
    tensors = load((other / "model.safetensors").read_bytes())
    tensors["model.norm.weight"] *= 2
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    assert refused(study_of(model={"path": str(other)})) == f"the model's weights changed. {HINT}"
    record = json.loads((checkpoints / "run.json").read_text())
    record["versions"]["torch"] = record["identity"]["torch"] = "1.0"
    (checkpoints / "run.json").write_text(json.dumps(record))
    import torch

    assert refused(study_of()) == f"torch is {torch.__version__}, was 1.0. {HINT}"
    (checkpoints / "run.json").unlink()
    assert refused(study_of()) == (
        f"{checkpoints}: the unfinished run in it was started by another version of reportgen. "
        "Finish it with that version, choose another folder with -o, or start anew with --force."
    )


def test_a_run_is_gone_on_with_under_its_own_number_of_threads(study_of: Make, tmp_path: Path) -> None:
    import torch

    seen: list[int] = []
    study, checkpoints = study_of(), tmp_path / "checkpoints"
    score(study, checkpoints=checkpoints)
    record = json.loads((checkpoints / "run.json").read_text())
    (checkpoints / "run.json").write_text(json.dumps({**record, "threads": 2}))
    score(study, checkpoints=checkpoints, progress=lambda *_: seen.append(torch.get_num_threads()))
    assert (set(seen), torch.get_num_threads()) == ({2}, 1)


def test_two_runs_in_one_folder_are_refused_and_a_dead_ones_lock_is_not_in_the_way(
    study_of: Make, tmp_path: Path
) -> None:
    study, checkpoints = study_of(), tmp_path / "checkpoints"
    with StorageFolder(checkpoints).locked(), pytest.raises(InputError) as caught:
        score(study, checkpoints=checkpoints)
    assert str(caught.value) == (
        f"{checkpoints}: another run is at work in this folder (process {os.getpid()} on {os.uname().nodename}). "
        "Wait until it has ended, stop it, or choose another folder with -o."
    )
    assert [path.name for path in checkpoints.iterdir()] == ["lock"]
    assert written(study, checkpoints=checkpoints) == written(
        study
    )  # the lock file is still there, and nobody holds it


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder of a file system without locks, whose signs of life come fast."""
    import fsspec

    monkeypatch.setattr(places, "BEAT", 0.05)
    yield "memory://bucket/run"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_units_are_kept_behind_any_address(study_of: Make, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of()
    first, calls = written(study, checkpoints=remote), forwards(monkeypatch)
    assert {name.rpartition(".")[2] for name in StorageFolder(remote).names()} == {"json", "safetensors"}
    assert written(study, checkpoints=remote) == first
    assert calls == []
    StorageFolder(remote).remove()
    assert StorageFolder(remote).names() == set()


def test_addresses_that_cannot_be_used_are_refused(study_of: Make) -> None:
    with pytest.raises(InputError) as unknown:
        score(study_of(), checkpoints="nosuch://bucket/run")
    assert str(unknown.value) == (
        "nosuch://bucket/run: this address cannot be used (Protocol not known: nosuch). Give a folder or an fsspec URL."
    )
    with pytest.raises(MissingResourceError) as silent:
        score(study_of(), checkpoints="ftp://localhost:1/run")
    assert str(silent.value) == (
        "ftp://localhost:1/run: cannot be used ([Errno 111] Connection refused). "
        "Check the address and your right to write there; finished files are complete."
    )


def test_without_locks_signs_of_life_keep_others_out(remote: str) -> None:
    with StorageFolder(remote).locked() as still_ours:
        time.sleep(0.2)
        still_ours()
        with pytest.raises(InputError, match=f"another run is at work in this folder \\(process {os.getpid()} on "):
            StorageFolder(remote).refuse_busy()
    assert StorageFolder(remote).read("lock") is None


def test_without_locks_a_dead_runs_lock_is_taken_over_and_a_late_riser_is_told(remote: str) -> None:
    StorageFolder(remote).write("lock", '{"beat":7,"host":"gone","process":1,"token":"dead"}')
    with StorageFolder(remote).locked() as still_ours:
        still_ours()
        StorageFolder(remote).write("lock", '{"beat":1,"host":"other","process":2,"token":"new"}')
        time.sleep(0.2)
        with pytest.raises(InputError, match="another run is at work in this folder \\(process 2 on other\\)"):
            still_ours()
    assert StorageFolder(remote).read("lock") is not None  # it is the other run's


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux bounds a process's memory so")
def test_where_memory_runs_out_that_unit_alone_goes_on_with_smaller_batches_and_the_scores_say_so(
    study_of: Make, tmp_path: Path, little_memory: Callable[[int], None]
) -> None:
    # 61 MB of logits: blocks of over 32 MB never come from what earlier tests have left in the process
    build("llama", vocab_size=60_000).save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    rows = [{**ROWS[0], "id": f"r{i}"} for i in range(256)] + ROWS[4:]

    def study(size: int) -> Study:
        return study_of(rows=rows, model={"path": str(tmp_path / "model")}, batch_size=size)

    told: list[str] = []
    score(study(16))  # what a first run allocates once is there
    little_memory(150 * 2**20)
    (made,) = score(study(256), checkpoints=tmp_path / "checkpoints", notify=told.append)["gate_gradient"]
    little_memory(2**40)
    (said,) = made.method.diagnostics.values()
    assert list(said) == ["count"]  # the other task's few rows fit
    size = said["count"]
    assert f"memory ran out in task count: going on with batches of {size}" in told
    planned = score(study(int(size or 0)))["gate_gradient"][0]
    np.testing.assert_array_equal(made.importance[0], planned.importance[0])
    again = score(study(256), checkpoints=tmp_path / "checkpoints")["gate_gradient"]
    assert scores_bytes(again) == scores_bytes(made)


def test_a_clock_that_jumps_changes_nothing(long: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, jumps, said = written(long), iter([10**10, 5, 10**9, 0] * 1000), list[str]()
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    assert written(long, checkpoints=tmp_path / "checkpoints", progress=lambda step, *_: said.append(step)) == whole
    assert all(re.search(r"(shards|, 0:0\d left)$", step) for step in said)


def test_progress_tells_units_speed_and_the_time_left_of_all_methods(study_of: Make) -> None:
    prepared = prepare(study_of(batch_size=2, also=["zero_ablation"]))
    shards, steps, now = shards_of(prepared), list[tuple[str, int, int]](), [100.0]
    gradient = [shard for shard in shards if shard.method == "gate_gradient"]
    pace = RunProgress(prepared, shards, {gradient[0].key}, lambda *step: steps.append(step), lambda: now[0])
    pace.begin("gate_gradient")
    now[0] += 2
    pace.within(gradient[1], 1)
    pace.finish(gradient[1])
    each = {c.method.name: c.method.forwards(prepared.model.heads, c.parameters) for c in prepared.methods}
    rest = 6 * (each["zero_ablation"] + each["activation_norm"])
    left = round(rest * 2 / (2 * each["gate_gradient"]))
    assert steps[0] == ("gate_gradient: 1 of 2 shards", 4, 6)
    assert steps[1][0].startswith("gate_gradient: 1 of 2 shards, 0.5 examples/s, ")
    assert steps[2] == (f"gate_gradient: 2 of 2 shards, 1 examples/s, 0:{left:02d} left", 6, 6)
