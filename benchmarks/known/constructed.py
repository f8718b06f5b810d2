"""Known answers by construction: which methods name the heads of models whose weights are written by hand.

``PYTHONPATH=tests/scoring python benchmarks/known/constructed.py`` prints the table of docs/known-answers.md: of each
method, how many of the causal heads are among as many first ones (recall), and how many of the named heads are causal
(precision); named are those above a twentieth of the greatest score. The models are those of
tests/scoring/designed_models.py.
"""

import numpy as np
import torch
from designed_models import copier, copying_rows, induction_pair, induction_rows
from known_heads import BY_NAME, COPIER, PAIR, ranked, scored

LEAST = 0.05  # of the greatest score, above which a head counts as named
WHERE_THEY_LOOK = {"previous_token": "L0H1 (looks one back)", "induction": "L1H2 (looks behind a copy)"}
FIT = "probe"  # needs more tasks than one


def main() -> None:
    models = {
        "induction pair (L0H1, L1H2)": (induction_pair(), induction_rows, PAIR),
        "copier (L1H0)": (copier(), copying_rows, COPIER),
    }
    print(f"| method | {' | '.join(f'{name}: recall, precision' for name in models)} |")
    print("|---|" + "---|" * len(models))
    for name in BY_NAME:
        if name == FIT or name in WHERE_THEY_LOOK:
            continue
        cells = []
        for model, rows, causal in models.values():
            found = scored(name, model, rows(model))
            named = {h for h in ranked(found) if abs(found[h]) > LEAST * np.abs(found).max()}
            first = {*ranked(found)[: len(causal)]} & named
            cells.append(f"{len(first & {*causal}) / len(causal):.2f}, {len(named & {*causal}) / len(named):.2f}")
        print(f"| {name} | {' | '.join(cells)} |")
    model = induction_pair()
    for name, expected in WHERE_THEY_LOOK.items():
        found = scored(name, model, induction_rows(model), **({"tokens": 8} if name == "induction" else {}))
        layer, head = ranked(found)[0]
        print(f"{name}: L{layer}H{head} first, {np.abs(found).max():.2f}; by construction {expected}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
