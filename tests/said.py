"""What findings and verdicts say of fixed inputs, as one hash for each of them."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from made_trials import shown, trial

import reportgen
from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.findings import to_json
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, split_halves
from reportgen.core.sentences import Prose
from reportgen.core.trials import Validation
from reportgen.importers import load_blocks
from reportgen.pipeline.source import open_source
from reportgen.validation.verdicts import bare, judged

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "tests" / "said.json"
DIGITS = 5  # of a number; the last ones are not the same on every machine


def made(seed: int, tasks: int, examples: int, method: str = "gate_gradient") -> HeadScores:
    """Scores of a small model with a block of strong heads, a strong layer and a head of one task alone."""
    shape, rng = (8, 10), np.random.default_rng(seed)
    base = rng.lognormal(-6, 0.4, (tasks, *shape))
    base[0, 2:5, 1:5] *= 6
    base[:, 6] *= 3
    base[-1, 1, 7] *= 25
    names = [f"e{i}" for i in range(examples)]
    drawn = [(b * rng.lognormal(0, 0.2, (examples, *shape))).astype(np.float32) for b in base]
    held = tuple(Examples(d, tuple(names), tuple(names), split_halves(names, 0)) for d in drawn)
    about = tuple(Task(f"Task {i}", n=examples, accuracy=0.9, chance=0.5) for i in range(tasks))
    maps = np.stack([d.mean(axis=0) for d in drawn])
    return HeadScores(maps, about, Method(method, "log-odds"), Model("models/tiny"), held, "mean")


def tried(findings: Any) -> Validation:
    """Trials of what was found, one of each verdict in turn."""
    sets = [f for f in findings.findings if f.kind in ("cluster", "anomaly", "cross_task_head", "scattered_heads")]
    trials = []
    for i, finding in enumerate(sets):
        changes: tuple[dict[str, Any], ...] = (
            {},
            {"verdict": "unnecessary", "specific": False, "shown": shown(0.01, 0.02, 0.03)},
            {"verdict": "undecided", "reason": "examples", "specific": None, "silence": "rank", "more": 80},
        )
        own = {"id": finding.id, "kind": finding.kind, "tasks": [finding.task or "Task 0"], "heads": ["L2H1", "L2H2"]}
        trials.append(trial(core=own["heads"], **own, **changes[i % 3]))
    return Validation("", findings.scores, tests=len(trials), trials=trials)


def said() -> dict[str, str]:
    """A hash of the findings, with their sentences and values, for each input."""
    source = open_source(ROOT / "sample_data" / "figure" / "study.toml", {})
    assert source.study.scores is not None
    figure = load_blocks(source.study.scores.path, source.study.scores)
    settings, prose = Settings(permutations=999), Prose(None)
    two, five = made(0, 2, 24), made(1, 5, 16)
    exact = made(1, 5, 16, "zero_ablation")
    found = {
        "figure study": analyze(figure, Settings.of(source.study), prose, {}),
        "two tasks": analyze((two,), settings, prose, {}),
        "five tasks, two methods": analyze((five,), settings, prose, {"zero_ablation": (exact,)}),
    }
    joined = judged(bare(found["two tasks"], prose), tried(found["two tasks"]), prose)
    hashes = {name: digest(to_json(findings)) for name, findings in found.items()}
    verdicts = [[f.verdict, f.specific, asdict(f.robustness) if f.robustness else None] for f in joined.findings]
    return hashes | {"with verdicts": digest([to_json(joined), verdicts])}


def digest(content: Any) -> str:
    """A hash of JSON values, numbers to the digits that hold on every machine."""
    return hashlib.sha256(json.dumps(rounded(content), sort_keys=True).encode()).hexdigest()


def rounded(content: Any) -> Any:
    """JSON values with few digits of every number."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [rounded(value) for value in content]
    return f"{content:.{DIGITS}g}" if isinstance(content, float) else content


def recorded(hashes: dict[str, str]) -> str:
    """The content of the record."""
    return json.dumps({"version": reportgen.__version__, "said": hashes}, indent=1) + "\n"
