"""What a race costs against scoring every example: ``python benchmarks/race.py [sample|square] [--tasks N]``.

Task by task, process CPU time on one thread: the race (``examples = "adaptive"``, the median of three), and between
them the peer's exact ablation of every head on every example, by which the race's top heads are verified. On the random
12 × 12 model of benchmarks/scoring.py, whose heads are all near-ties, the time alone says something.
"""

import argparse
import importlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.scoring import BATCH, square  # noqa: E402
from reportgen.core.config import ModelSection, ScoringSection, Study, TasksSection  # noqa: E402
from reportgen.scoring.data.batches import collate  # noqa: E402
from reportgen.scoring.run.prepare import Prepared, prepare  # noqa: E402
from reportgen.scoring.run.race import race_result, tied_in, top_of  # noqa: E402
from reportgen.scoring.run.shards import Shard, ShardScores, shards_of  # noqa: E402
from reportgen.scoring.run.worker import Worker  # noqa: E402

TARGET = 6.0


def in_turns(
    prepared: Prepared, worker: Worker, shard: Shard, peer: str
) -> tuple[ShardScores, float, np.ndarray, float]:
    """The race and its median time; |baseline - ablated| of the peer, (example, head) in the order of the shard's
    batches, and its time. The race is run before the first, the middle and the last of the peer's batches.
    """
    assert shard.task is not None
    tool, found = importlib.import_module(f"benchmarks.peers.{peer}"), list[np.ndarray]()
    races, whole, last = list[float](), 0.0, len(shard.batches) - 1
    for turn, members in enumerate(shard.batches):
        if turn in (0, last // 2, last):
            start = time.process_time()
            scores = worker.score(shard, lambda _: None)
            races.append(time.process_time() - start)
        start = time.process_time()
        batch = collate([prepared.tasks[shard.task].encoded[i] for i in members])
        before = prepared.setting(shard.chosen).value(batch)[0].detach()
        losses = tool.losses(prepared.model.model, batch, False)()
        found.append((before - losses).abs().flatten(0, 1).T.numpy())
        whole += time.process_time() - start
    return scores, statistics.median(races), np.concatenate(found), whole


def compared(prepared: Prepared, worker: Worker, shard: Shard, peer: str) -> dict[str, Any]:
    """One task: seconds of both, and whether the race's top heads are the peer's."""
    assert shard.task is not None
    scores, raced, exact, whole = in_turns(prepared, worker, shard, peer)
    values = scores.values.reshape(len(scores.values), -1)
    task, heads = prepared.tasks[shard.task], prepared.model.heads.widest
    _, scores, effects = race_result(prepared, shard.chosen, task, scores)
    best, tied = (
        {int(layer) * heads + int(head) for layer, head in (name[1:].split("H") for name in effects.get(title, {}))}
        for title in (top_of(prepared, task.name), tied_in(task.name))
    )
    ranks = np.argsort(-exact.mean(axis=0)).tolist()
    true, last = set(ranks[: prepared.top]), exact.mean(axis=0)[ranks[prepared.top - 1]]
    told = {name: float(of[0]) for name, of in scores.checks.items() if len(set(of.tolist())) == 1}
    return {
        "race": raced,
        peer: whole,
        "ratio": whole / raced,
        "the exact top": best == true,
        "every head of the exact top is in the top or tied": true <= best | tied,
        "least of the top, in the last of the exact top": float(exact.mean(axis=0)[list(best)].min() / last),
        "tied": len(tied),
        "greatest difference": float(np.nanmax(np.abs(np.abs(values) - exact))),
        **told,
    }


def main() -> None:
    """Measure, print and write benchmarks/results/race-<model>.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="sample", choices=("sample", "square"))
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--peer", default="hooks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made, torch.no_grad():
        folder = ROOT / "sample_data" / "model" if given.model == "sample" else Path(made)
        if given.model == "square":
            square(folder)
        scoring = ScoringSection(method="zero_ablation", batch_size=BATCH, examples="adaptive")
        tasks = TasksSection(path=ROOT / "sample_data" / "tasks.jsonl")
        prepared = prepare(Study(model=ModelSection(path=str(folder)), tasks=tasks, scoring=scoring))
        worker, result, shards = Worker(prepared), dict[str, Any](), shards_of(prepared)[: given.tasks]
        worker.score(shards[-1], lambda _: None)  # a warm-up
        for shard in shards:
            assert shard.task is not None
            name = prepared.tasks[shard.task].name
            result[name] = compared(prepared, worker, shard, given.peer)
            print(name, result[name], flush=True)
    ratio = statistics.median(of["ratio"] for of in result.values())
    print(f"median ratio {ratio:.2f} (target ≥ {TARGET})")
    content = {"peer": given.peer, "median_ratio": ratio, "target": TARGET, "tasks": result}
    target = ROOT / "benchmarks" / "results" / f"race-{given.model}.json"
    target.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
