"""Are verdicts right? ``python benchmarks/verdicts.py [cases a kind]``, twenty of each of ten kinds.

Circuits whose truth is known (tests/validation/circuits.py): what knocking out any set of heads costs is written down,
examples are noisy, and cores, other sets and verdicts are made as with a model. Right is: the verdict, whether the set
costs more than others of its layers, and the core. Undecided is counted apart, and is not right. Sets without an effect
are counted as false where they are called needed or specific. Written into benchmarks/results/verdicts.json.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "verdicts.json"
sys.path.insert(0, str(ROOT / "tests" / "validation"))

from circuits import KINDS, Case  # noqa: E402

from reportgen.core.stats import wilson  # noqa: E402
from reportgen.core.trials import Trial  # noqa: E402
from reportgen.validation.derive import derive  # noqa: E402


def judged(case: Case, trial: Trial) -> str:
    """Say how a trial compares with the truth."""
    if trial.verdict == "undecided" or trial.specific is None:
        return "undecided"
    right = (trial.verdict, trial.specific, {*trial.core}) == (case.verdict, case.specific, {*case.core})
    return "right" if right else "wrong"


def main(count: int) -> None:
    """Judge all cases and write what came of them."""
    kinds: dict[str, Any] = {}
    for name, make in KINDS.items():
        found = Counter[str]()
        for seed in range(count):
            case = make(seed)
            (trial,) = derive(case.circuit.raw(case.circuit.found(case.heads))).trials
            found[judged(case, trial)] += 1
            if name in ("decoy", "nothing"):
                found["false effects"] += trial.verdict == "necessary" or trial.specific is True
        kinds[name] = dict(found)
        print(name, kinds[name], flush=True)
    total, right = count * len(KINDS), sum(each.get("right", 0) for each in kinds.values())
    low, high = wilson(right, total)
    made = {"cases": total, "right": right, "interval": [round(low, 4), round(high, 4)], "kinds": kinds}
    print(made, flush=True)
    RESULTS.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
