"""Claims of random sets of findings, read number by number: how many sets, claims, and faults.

``PYTHONPATH=tests/summary:tests/analysis python benchmarks/random_claims.py 1000`` prints one line of JSON; the tests
read sixty.
"""

import json
import sys
from collections import Counter

from made_findings import random_findings, trials_of
from reading import faults, unheld
from test_summarize import again, within

from reportgen.summary.limits import shortened
from reportgen.summary.summarize import summarize, tasks_of


def main(count: int) -> None:
    seen, wrong, none = Counter[str](), list[str](), 0
    for seed in range(count):
        findings = random_findings(seed)
        claims, short = summarize(trials_of(findings)), dict(shortened(tasks_of(findings)))
        none += not claims.claims
        seen.update(claim.id for claim in claims.claims)
        found = [f"{c.id}: {each}" for c in claims.claims for each in (*unheld(c, short), *faults(c, short))]
        wrong += [f"{seed} {each}" for each in (*found, *within(claims, short), *again(claims, findings))]
    result = {
        "sets": count,
        "claims": sum(seen.values()),
        "without": none,
        "faults": wrong,
        "cases": dict(sorted(seen.items())),
    }
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
