"""How well each method ranks heads as exact ablation does: ``python benchmarks/agreement.py [MODEL] [TASK FILE]``.

Spearman's correlation of each method's importance with that of a reference (zero ablation, or another method), over all
heads of the model, task by task, on the first rows of each task that have a corrupted prompt.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from reportgen.core.config import ModelSection, ScoringSection, Study, TasksSection
from reportgen.scoring.methods.common.method import METHODS
from reportgen.scoring.score import score

ROOT = Path(__file__).resolve().parent.parent


def paired_rows(path: Path, limit: int) -> Iterator[str]:
    """The first ``limit`` rows of each task that have a corrupted prompt."""
    taken: dict[str, int] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        taken[row["task"]] = taken.get(row["task"], 0) + ("corrupted" in row)
        if "corrupted" in row and taken[row["task"]] <= limit:
            yield line


def importance(arguments: argparse.Namespace, path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The tasks' names, and (task, head) importance by method."""
    settings: dict[str, dict[str, Any]] = {"integrated_gradients": {"path": arguments.path}}
    settings["attribution_patching"] = {"qk_correction": arguments.qk_correction}
    if arguments.signed:
        for method in METHODS.own():
            if method.reduction == "mean_abs" and method.score is not None:
                settings.setdefault(method.name, {})["signed"] = True
    scoring = ScoringSection(method=arguments.reference, also=arguments.methods, parameters=settings)
    scores = score(Study(model=ModelSection(path=arguments.model), tasks=TasksSection(path=path), scoring=scoring))
    tasks = [task.name for task in next(iter(scores.values()))[0].tasks]
    return tasks, {
        name: np.concatenate([block.importance.reshape(len(tasks), -1) for block in blocks], axis=1)
        for name, blocks in scores.items()
    }


def main() -> None:
    """Score, and print the table."""
    names = [m.name for m in METHODS.own() if m.score is not None and m.cheap]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default=str(ROOT / "sample_data" / "model"))
    parser.add_argument("tasks", nargs="?", type=Path, default=ROOT / "sample_data" / "tasks.jsonl")
    parser.add_argument("--reference", default="zero_ablation")
    parser.add_argument("--methods", nargs="+", default=names)
    parser.add_argument("--limit", type=int, default=24, help="rows of each task")
    parser.add_argument("--path", default="joint", help="of integrated_gradients")
    parser.add_argument("--qk-correction", action="store_true", help="of attribution_patching")
    parser.add_argument("--signed", action="store_true", help="importance is the signed mean, not that of |·|")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.jsonl"
        path.write_text("".join(f"{line}\n" for line in paired_rows(arguments.tasks, arguments.limit)))
        tasks, found = importance(arguments, path)
    print(f"{'Spearman with ' + arguments.reference:32}", *(f"{task[:14]:>15}" for task in [*tasks, "mean"]))
    for name in found:
        pairs = [
            (a[~np.isnan(a)], b[~np.isnan(b)]) for a, b in zip(found[name], found[arguments.reference], strict=True)
        ]
        each = [float(spearmanr(a, b).statistic) for a, b in pairs]
        print(f"{name:32}", *(f"{value:15.2f}" for value in [*each, np.mean(each)]))


if __name__ == "__main__":
    main()
