"""Is a verdict right? ``python benchmarks/validation.py [--cases 60] [--null 100]``.

True cases: hand-written transformers of 4 layers × 12 heads in which one head copies the answer, or a pair does
induction; half of the scores name these heads, half name idle ones. A verdict is right where true heads are confirmed
and planted false ones refuted; undecided is not right. Null cases: random transformers that are asked for what they say
anyway, with scores of noise; no more than 5 % of the sets that are tested may be confirmed.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from transformers.utils import logging

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS / "scoring"), str(TESTS / "validation")]

import cases  # noqa: E402

from reportgen.analysis.analyze import analyze  # noqa: E402
from reportgen.validation.validate import validate  # noqa: E402

MAKERS = {"one copying head": cases.copying_case, "an induction pair": cases.induction_case}


def known(count: int) -> None:
    """Cases whose truth is known, by kind and by whether the scores are true."""
    for name, make in MAKERS.items():
        for truth in (True, False):
            found = Counter[str]()
            for seed in range(count // 4):
                with tempfile.TemporaryDirectory() as folder:
                    case = make(Path(folder), seed, truth)
                    _, validation = cases.validated(case, seed)
                    trial = cases.verdict_on(case, validation)
                    found[f"{trial.verdict}{f' ({trial.reason})' if trial.reason else ''}"] += 1
            print(f"{name}, scores {'true' if truth else 'false'}: {dict(found)}", flush=True)


def null(count: int) -> None:
    """Sets that were tested on random models with scores of noise."""
    found = Counter[str]()
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            study = cases.null_study(Path(folder), seed)
            methods = cases.scored_by_hand(study, seed=seed)
            validation = validate(study, analyze(next(iter(methods.values()))[0]), methods)
            found.update(t.verdict if t.q is not None else f"not tested ({t.reason})" for t in validation.trials)
            if validation.problem:
                found[validation.problem] += 1
    print(f"null models: {dict(found)}", flush=True)


def main() -> None:
    """Run both and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--null", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    start = time.process_time()
    known(arguments.cases)
    null(arguments.null)
    print(f"{time.process_time() - start:.0f} s of processor time")


if __name__ == "__main__":
    main()
