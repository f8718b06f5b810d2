"""A real Ray cluster of two nodes on this machine: the same bytes as one process, whoever dies; and nodes that lack
something.
"""

import http.server
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from safetensors.torch import load, save_file

from reportgen.core.config import Study
from reportgen.core.config_file import load_study, parse_study, with_overrides
from reportgen.errors import InputError, MissingResourceError
from reportgen.scoring.run import ray_executor
from reportgen.scoring.run.run_record import record_of, write_record
from reportgen.scoring.score import score
from reportgen.storage.remote_folders import StorageFolder

pytestmark = [pytest.mark.slow, pytest.mark.ray]

# Ray's own niceness of 15 starves workers beside another file of tests
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")
HOST = os.uname().nodename
START = "Start one (`ray start --head`, docs/long-runs.md), and give its address, or none to compute on this machine."
STUDY = """[model]
path = "~/model"
[tasks]
path = "tasks.jsonl"
[scoring]
also = ["zero_ablation", "mean_ablation"]
batch_size = 1
"""


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Home folders of nodes: with the model, without it, and with a model of other weights at the same path."""
    homes = {name: tmp_path_factory.mktemp(name) for name in ("whole", "bare", "stale")}
    for name in ("whole", "stale"):
        tiny_models.build("llama").save_pretrained(homes[name] / "model")
        tiny_models.word_tokenizer().save_pretrained(homes[name] / "model")
    weights = homes["stale"] / "model" / "model.safetensors"
    tensors = load(weights.read_bytes())
    tensors["model.norm.weight"] *= 2
    save_file(tensors, weights, metadata={"format": "pt"})
    return homes


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    rows = [{**row, "id": f"{row['id']}-{n}"} for n in range(20) for row in tiny_models.ROWS]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def cluster(homes: dict[str, Path]) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster()
    made.add_node(**node(homes["whole"]), include_dashboard=False)
    yield made
    made.shutdown()


def node(home: Path) -> dict[str, Any]:
    """One of the cluster's nodes, with room for one worker and a home folder of its own."""
    return {"num_cpus": 1, "object_store_memory": 80 * 2**20, "env_vars": {"HOME": str(home), "OMP_NUM_THREADS": "1"}}


def command(study: Path, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "reportgen", "score", str(study), "-o", str(folder), *more]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"}


def scores(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("scores*")}


@pytest.fixture(scope="module")
def alone(study: Path, homes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes of the study."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    subprocess.run(command(study, folder, "--quiet"), check=True, capture_output=True, env=environment(homes["whole"]))
    assert len(scores(folder)) == 5
    return scores(folder)


def workers_of(node: Any) -> list[int]:
    """The processes of a node that compute."""
    raylet, found = node.all_processes["raylet"][0].process.pid, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet and (entry / "cmdline").read_bytes().startswith(b"ray::RemoteWorker"):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def test_a_worker_and_then_a_node_die_and_no_byte_changes(
    cluster: Any, study: Path, homes: dict[str, Path], alone: dict[str, bytes], tmp_path: Path
) -> None:
    second, told = cluster.add_node(**node(homes["whole"])), list[str]()
    more = ("--executor", "ray", "--address", cluster.address)
    with subprocess.Popen(
        command(study, tmp_path, *more),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(homes["whole"]),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.strip())
            if second is not None and line.startswith("zero_ablation") and workers_of(second):
                (worker,) = workers_of(second)
                os.kill(worker, signal.SIGKILL)
            if second is not None and line.startswith("a worker died"):
                cluster.remove_node(second, allow_graceful=False)
                second = None
    cluster.wait_for_nodes()  # until the cluster knows: who joins before may be sent to the dead node
    assert process.returncode == 0, told
    assert any(
        line.startswith("a worker died (")
        and line.endswith("its process or node has gone): another one takes its place")
        for line in told
    )
    assert scores(tmp_path) == alone
    assert not (tmp_path / ".checkpoints").exists()


def test_cores_that_others_hold_are_not_waited_for(
    cluster: Any, study: Path, homes: dict[str, Path], alone: dict[str, bytes], tmp_path: Path
) -> None:
    second = cluster.add_node(**node(homes["whole"]))
    hold = f"""import ray, time
ray.init({cluster.address!r}, log_to_driver=False)
class Holder:
    def holds(self): print("held", flush=True)
holder = ray.remote(num_cpus=1)(Holder).remote()
ray.get(holder.holds.remote())
print("held", flush=True)
time.sleep(600)"""
    impatient = (
        "from reportgen.scoring.run import ray_executor; ray_executor.PATIENCE = 2\n"
        "from reportgen.cli.main import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(homes["whole"]),
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        more = ("--executor", "ray", "--address", cluster.address)
        done = subprocess.run(
            [sys.executable, "-c", impatient, *command(study, tmp_path, *more)[3:]],
            text=True,
            capture_output=True,
            env=environment(homes["whole"]),
        )
        holder.kill()
    cluster.remove_node(second)
    cluster.wait_for_nodes()
    assert done.returncode == 0, done.stderr
    assert "1 of 2 workers are ready: the others take part as soon as the cluster has room for them" in done.stderr
    assert scores(tmp_path) == alone


def test_workers_cut_batches_as_the_run_that_is_gone_on_with_has_found(
    cluster: Any, study: Path, homes: dict[str, Path], tmp_path: Path
) -> None:
    ray, auto = ("--executor", "ray", "--address", cluster.address), ("--set", "scoring.batch_size=auto")

    def run(folder: str, *more: str) -> str:
        done = subprocess.run(
            command(study, tmp_path / folder, *more),
            check=True,
            text=True,
            capture_output=True,
            env=environment(homes["whole"]),
        )
        return done.stderr

    begun = record_of(with_overrides(load_study(study / "study.toml"), {"scoring.batch_size": "auto"}, study))
    write_record(StorageFolder(tmp_path / "cut" / ".checkpoints"), {**begun, "batch_size": 3, "threads": 1})
    assert "batches of 3 examples, as before" in run("cut", *auto, *ray)
    run("fixed", "--set", "scoring.batch_size=3")
    again, fixed = ((tmp_path / name / "scores.csv").read_bytes() for name in ("cut", "fixed"))
    assert again == fixed
    assert "batches of 128 examples\n" in run("fresh", *auto, *ray)


def test_a_worker_that_runs_out_of_memory_ends_the_run_and_keeps_what_is_finished(
    cluster: Any, homes: dict[str, Path], tmp_path: Path
) -> None:
    """Its address space is bounded from outside while it computes; the second task's logits then fit in no more."""
    tiny_models.build("llama", vocab_size=60_000, max_position_embeddings=512).save_pretrained(tmp_path / "model")
    tiny_models.word_tokenizer().save_pretrained(tmp_path / "model")
    rows = [{**tiny_models.ROWS[0], "id": f"r{i}"} for i in range(90)]
    rows += [{"task": "long", "id": "l", "prompt": "one", "answer": "two " * 399 + "two"}]  # 96 MB of logits
    (tmp_path / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "study.toml").write_text(
        '[model]\npath = "model"\n[tasks]\npath = "tasks.jsonl"\n[scoring]\nbatch_size = 1'
    )
    folder, told = tmp_path / "out", list[str]()
    more = ("--executor", "ray", "--address", cluster.address)
    with subprocess.Popen(
        command(tmp_path, folder, *more),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(homes["whole"]),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line.strip())
            if line.startswith("gate_gradient: 0 of"):  # it begins
                (worker,) = workers_of(cluster.head_node)
                pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
                most = pages * resource.getpagesize() + 64 * 2**20
                resource.prlimit(worker, resource.RLIMIT_AS, (most, most))
    assert process.returncode == 2, told
    assert told[-1] == (
        f"reportgen: task long, on the worker {HOST}: out of memory with batches of one example. Use a smaller model "
        "or shorter prompts, a narrower dtype, or a machine with more memory."
    )
    kept = {path: path.stat().st_mtime_ns for path in (folder / ".checkpoints").glob("*.safetensors")}
    assert len(kept) >= 3  # those of the other task
    again = subprocess.run(
        command(tmp_path, folder), check=True, text=True, capture_output=True, env=environment(homes["whole"])
    ).stderr
    assert again.startswith(f"gate_gradient: {len(kept)} of {len(kept) + 1} shards")


@pytest.mark.parametrize(
    ("home", "told"),
    [
        (
            "bare",
            f"~/model, on the worker {HOST}: no such model folder. ~/model: not on that machine. "
            "Every node needs the model and the task files at the same path, best on a disk that all of them share.",
        ),
        (
            "stale",
            f"the worker {HOST}: it and the worker {HOST} differ in the model's weights. Give every node "
            "the same versions, model and task files, best on a disk that all of them share.",
        ),
    ],
)
def test_a_worker_without_the_model_or_with_another_is_refused(
    cluster: Any, study: Path, homes: dict[str, Path], tmp_path: Path, home: str, told: str
) -> None:
    odd, folder = cluster.add_node(**node(homes[home])), tmp_path / "out"
    more = ("--executor", "ray", "--address", cluster.address)
    try:
        done = subprocess.run(
            command(study, folder, *more), capture_output=True, text=True, check=False, env=environment(homes["whole"])
        )
    finally:
        cluster.remove_node(odd)
    assert (done.returncode, done.stderr.strip()) == (2, f"reportgen: {told}")
    assert not folder.exists()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that is no cluster."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_address_that_does_not_answer(study: Path, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "ANSWERS_WITHIN", 5.0)

    def at(address: str) -> str:
        scoring = {"executor": "ray", "address": address}
        given = {"model": {"path": "m"}, "tasks": {"path": str(study / "tasks.jsonl")}, "scoring": scoring}
        with pytest.raises(InputError) as caught:
            score(Study.model_validate(given))
        return str(caught.value).removeprefix(f"[scoring] address {address!r}: ")

    assert at("127.0.0.1:1") == f"no Ray cluster answers (Connection refused). {START}"
    assert at(silent) == f"no Ray cluster answers (what is there is no Ray cluster). {START}"
    assert at("[::1]:1") == f"no Ray cluster answers (Connection refused). {START}"
    for address in ("cluster", "ray://127.0.0.1:10001"):
        assert at(address) == (
            "this is no address of a Ray cluster's head. "
            'Write HOST:PORT, as `ray start --head` says it, or "auto", on a node of the cluster.'
        )


def test_an_address_needs_a_cluster() -> None:
    with pytest.raises(InputError) as caught:
        parse_study(
            {"model": {"path": "m"}, "tasks": {"path": "t"}, "scoring": {"address": "auto"}}, "study.toml", Path()
        )
    assert str(caught.value) == (
        'study.toml: [scoring]: address is that of a Ray cluster; give executor = "ray" with it '
        "(got {'address': 'auto'}). Change the value; `reportgen schema study` shows what is allowed."
    )


def test_a_cluster_without_room_for_a_worker(cluster: Any, study: Path, homes: dict[str, Path], tmp_path: Path) -> None:
    done = subprocess.run(
        command(study, tmp_path / "out", "--executor", "ray", "--address", cluster.address),
        check=False,
        text=True,
        capture_output=True,
        env={**environment(homes["whole"]), "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    )
    assert (done.returncode, done.stderr.strip()) == (
        3,
        (
            "reportgen: the Ray cluster: no node has 2 CPU for a worker. "
            "Start a node that has them, or set OMP_NUM_THREADS to the threads that a worker may use."
        ),
    )


def test_without_ray_the_command_that_installs_it_is_told(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    given = {"model": {"path": "m"}, "tasks": {"path": str(study / "tasks.jsonl")}, "scoring": {"executor": "ray"}}
    with pytest.raises(MissingResourceError) as caught:
        score(Study.model_validate(given))
    assert str(caught.value) == (
        '[scoring] executor "ray": Ray is not installed. Install it with `pip install "reportgen[ray]"`.'
    )
