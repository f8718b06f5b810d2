"""What scoring costs against plain runs: ``python benchmarks/scoring.py [MODEL FOLDER] [TASK FILE]``.

Process CPU time, median of seven rounds after a warm-up, all of it in one run on one thread.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from reportgen.scoring.method import Setting
from reportgen.scoring.methods import zero_ablation
from reportgen.scoring.prepare import Prepared, prepare
from reportgen.scoring.tokens import Batch, collate
from reportgen.study import ModelSection, ScoringSection, Study, TasksSection

ROOT = Path(__file__).resolve().parent.parent
REPEATS, BATCH = 7, 32
CALLS = {"forward": 10, "forward + backward": 5, "gate_gradient": 5, "zero_ablation": 1}  # for rounds of similar length
TARGETS = {"gate_gradient / forward + backward": 1.15, "zero_ablation per head / forward": 0.6}


def median_cpu(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of process CPU time of each work, in turns, so that a busy neighbour slows them all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _round in range(REPEATS + 1):
        for name, work in works.items():
            start, calls = time.process_time(), CALLS[name]
            for _ in range(calls):
                work()
            times[name].append((time.process_time() - start) / calls)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def plain_forward(setting: Setting, batch: Batch) -> None:
    with torch.no_grad():
        setting.model.answer_logits(batch)


def plain_backward(setting: Setting, batch: Batch) -> None:
    """Forward and backward to the input embeddings, parameters frozen, logits at the same positions."""
    embedded: list[torch.Tensor] = []

    def hook(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[0]

    handle = setting.model.model.get_input_embeddings().register_forward_hook(hook)
    try:
        torch.autograd.grad(setting.value(batch)[0].sum(), embedded)
    finally:
        handle.remove()


def middling_batch(prepared: Prepared) -> Batch:
    """The batch of median length over all tasks, as scoring cuts them."""
    batches = [[task.encoded[i] for i in b] for task in prepared.tasks for b in task.batches if len(b) == BATCH]
    batches.sort(key=lambda members: len(members[-1].inputs))
    return collate(batches[len(batches) // 2])


def measured(prepared: Prepared, batch: Batch) -> dict[str, float]:
    """Seconds of each piece of work."""
    (gradient, ablation), settings = (c.method for c in prepared.methods[:2]), [
        prepared.setting(chosen) for chosen in prepared.methods]  # fmt: skip
    works: dict[str, Callable[[], object]] = {
        "forward": lambda: plain_forward(settings[0], batch),
        "forward + backward": lambda: plain_backward(settings[0], batch),
        "gate_gradient": lambda: gradient.score(settings[0], batch),
        "zero_ablation": lambda: ablation.score(settings[1], batch),
    }
    return median_cpu(works)


def main() -> None:
    """Measure, print a table and write benchmarks/results/scoring.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=str(ROOT / "sample_data" / "model"))
    parser.add_argument("tasks", nargs="?", type=Path, default=ROOT / "sample_data" / "tasks.jsonl")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(model=ModelSection(path=arguments.model), tasks=TasksSection(path=arguments.tasks),
                  scoring=ScoringSection(also=[zero_ablation.METHOD.name], batch_size=BATCH))  # fmt: skip
    prepared = prepare(study)
    batch = middling_batch(prepared)
    seconds = measured(prepared, batch)
    sites = prepared.model.heads.sites
    heads = sum(site.heads for site in sites)
    ratios = {
        "gate_gradient / forward + backward": seconds["gate_gradient"] / seconds["forward + backward"],
        "zero_ablation per head / forward": seconds["zero_ablation"] / heads / seconds["forward"],
    }
    shape = {"layers": len(sites), "heads": heads, "examples": batch.size,
             "tokens": batch.input_ids.shape[1], "answer_tokens": len(batch.target), "repeats": REPEATS}  # fmt: skip
    for name, value in seconds.items():
        print(f"{name:36} {1000 * value:9.1f} ms")
    for name, value in ratios.items():
        print(f"{name:36} {value:9.2f}    (target ≤ {TARGETS[name]})")
    result = {"shape": shape, "cpu_seconds": seconds, "ratios": ratios, "targets": TARGETS,
              "versions": {"torch": str(torch.__version__)}}  # fmt: skip
    target = ROOT / "benchmarks" / "results" / "scoring.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
