"""Is a verdict right, and what does it cost? ``python benchmarks/validation.py [known null cost]``.

Known: hand-written transformers of 4 layers × 12 heads in which one head copies the answer, or a pair does induction;
half of the scores name these heads, half name idle ones. A verdict is right where true heads are needed and specific,
and planted false ones neither; undecided is not right. Null: random transformers that are asked for what they say
anyway, with scores of noise; no more than 5 % of the sets that are compared may be specific. Cost: the sample study,
stage by stage in processor time of one thread, against exact zero ablation of the same study in the same process; and
its table of random against found heads. Each part that is run is written into benchmarks/results/validation.json.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

ROOT = Path(__file__).resolve().parent.parent
TESTS, RESULTS = ROOT / "tests", ROOT / "benchmarks" / "results" / "validation.json"
sys.path[:0] = [str(TESTS / "scoring"), str(TESTS / "validation")]

import cases  # noqa: E402

from reportgen.analysis.analyze import analyze  # noqa: E402
from reportgen.core.listener import Listener  # noqa: E402
from reportgen.core.trials import TOP, Outcome, Trial  # noqa: E402
from reportgen.pipeline import build as pipeline  # noqa: E402
from reportgen.pipeline.options import Options  # noqa: E402
from reportgen.pipeline.source import open_source  # noqa: E402
from reportgen.scoring.score import score  # noqa: E402
from reportgen.validation.derive import derive  # noqa: E402
from reportgen.validation.recorded import from_json  # noqa: E402
from reportgen.validation.validate import validate  # noqa: E402

MAKERS = {"one copying head": cases.copying_case, "an induction pair": cases.induction_case}


def said(trial: Trial) -> str:
    """What a trial says, in words."""
    words = {True: "specific", False: "not specific", None: f"open ({trial.silence})"}[trial.specific]
    return f"{trial.verdict}{f' ({trial.reason})' if trial.reason else ''}, {words}"


def known(count: int) -> dict[str, Any]:
    """Cases whose truth is known, by kind and by whether the scores are true: how many verdicts are right."""
    made: dict[str, Any] = {}
    for name, make in MAKERS.items():
        for truth in (True, False):
            found = Counter[str]()
            for seed in range(count // 4):
                with tempfile.TemporaryDirectory() as folder:
                    case = make(Path(folder), seed, truth)
                    _, validation = cases.validated(case, seed)
                    trial = cases.verdict_on(case, validation)
                    found[said(trial)] += 1
            kind = f"{name}, scores {'true' if truth else 'false'}"
            right = found["necessary, specific" if truth else "unnecessary, not specific"]
            made[kind] = {"cases": count // 4, "right": right, "verdicts": dict(found)}
            print(f"{kind}: {made[kind]}", flush=True)
    return made


def null(count: int) -> dict[str, Any]:
    """Sets that were tested on random models with scores of noise."""
    found, compared = Counter[str](), 0
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            study = cases.null_study(Path(folder), seed)
            methods = cases.scored_by_hand(study, seed=seed)
            validation = derive(validate(study, analyze(next(iter(methods.values()))[0]), methods))
            found.update(map(said, validation.trials))
            compared += sum(t.specific_q is not None for t in validation.trials)
            if validation.problem:
                found[validation.problem] += 1
    specific = sum(n for words, n in found.items() if words.endswith(", specific"))
    made = {"models": count, "compared": compared, "specific": specific, "verdicts": dict(found)}
    print(f"null models: {made}", flush=True)
    return made


def cost() -> dict[str, Any]:
    """The sample study's build, by stage, and exact zero ablation of the same study."""
    spent, last = defaultdict[str, float](float), [time.process_time()]

    def step(name: str, *_: int) -> None:
        now = time.process_time()
        spent[name.partition(":")[0]] += now - last[0]
        last[0] = now

    announced: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        study = open_source(ROOT / "sample_data", {"scoring.method": "zero_ablation"}).study
        score(study, checkpoints=Path(folder) / "units")
        zero = time.process_time() - last[0]
        last[0] = time.process_time()
        built = pipeline.build(
            ROOT / "sample_data",
            Path(folder) / "report",
            options=Options(listener=Listener(progress=step, notify=announced.append)),
        )
        step("rendering")
        validation = derive(from_json(json.loads((built.folder / "validation.json").read_text())))
    assert validation.cost is not None
    runs = validation.cost.runs
    made = {
        "seconds": {name: round(value, 1) for name, value in spent.items()},
        "build": round(sum(spent.values()), 1),
        "zero_ablation": round(zero, 1),
        "validation_over_zero_ablation": round(spent["validation"] / zero, 2),
        "runs": round(runs),
        "runs_over_zero_ablation": round(runs / validation.cost.ablation, 2),
        "announced": next(line for line in announced if line.startswith("validation: ")),
        "random_and_found": [_row(t) for t in validation.trials if t.kind == TOP],
    }
    print(json.dumps(made, indent=1), flush=True)
    return made


def _row(trial: Trial) -> dict[str, Any]:
    """Accuracy in per cent of a task as it is, with random heads out, with its first heads out."""

    def share(outcome: Outcome | None) -> float | None:
        return None if outcome is None else round(100 * outcome.accuracy, 1)

    gains = {factor: [gain.estimate, gain.low, gain.high] for factor, gain in trial.gain.items()}
    return {
        "task": trial.tasks[0],
        "heads": trial.heads,
        "examples": trial.examples,
        "controls": trial.controls,
        "as_it_is": share(trial.intact),
        "random": share(trial.after_controls),
        "found": share(trial.knocked_out),
        "kept": share(trial.kept),
        "gain": gains,
        "verdict": said(trial),
        "q": trial.q,
    }


def main() -> None:
    """Run the parts that are asked for, and keep what they gave beside that of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["known", "null", "cost"])
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--null", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name, run in (
        ("known", lambda: known(arguments.cases)),
        ("null", lambda: null(arguments.null)),
        ("cost", cost),
    ):
        if name in arguments.parts:
            start = time.process_time()
            results[name] = run()
            print(f"{name}: {time.process_time() - start:.0f} s of processor time", flush=True)
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
