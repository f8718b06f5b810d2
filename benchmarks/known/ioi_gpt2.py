"""GPT-2 small and the published circuit of indirect object identification: how many of its 26 heads come first.

``python benchmarks/known/ioi_gpt2.py FOLDER [method …]`` scores the suite on the model in FOLDER, yours to give, and
prints of each method how many of the circuit's heads are among as many first ones, with the chance of as many by
drawing heads at random. The circuit (Wang et al. 2022, arXiv 2211.00593) was found with other templates and another
counterfactual, and names heads by their part in an algorithm: an overlap of 26 is not to be expected of any score.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

import reportgen
from reportgen.core.config_file import parse_study

CIRCUIT = {
    "duplicate token": ((0, 1), (0, 10), (3, 0)),
    "previous token": ((2, 2), (4, 11)),
    "induction": ((5, 5), (5, 8), (5, 9), (6, 9)),
    "S-inhibition": ((7, 3), (7, 9), (8, 6), (8, 10)),
    "name mover": ((9, 6), (9, 9), (10, 0)),
    "negative name mover": ((10, 7), (11, 10)),
    "backup name mover": ((9, 0), (9, 7), (10, 1), (10, 2), (10, 6), (10, 10), (11, 2), (11, 9)),
}
SHAPE = (12, 12)  # layers, heads of GPT-2 small
METHODS = ("gate_gradient", "zero_ablation", "eap_ig")


def overlap(importance: np.ndarray) -> tuple[list[str], float]:
    """Return the circuit's heads that are among as many first ones, each with its part, and the chance of so many."""
    part = {head: name for name, heads in CIRCUIT.items() for head in heads}
    order = np.argsort(-np.abs(importance), axis=None, kind="stable")[: len(part)]
    first = [divmod(int(i), importance.shape[1]) for i in order]
    found = [f"L{layer}H{head} ({part[layer, head]})" for layer, head in first if (layer, head) in part]
    return found, float(stats.hypergeom(importance.size, len(part), len(part)).sf(len(found) - 1))


def main(folder: str, methods: tuple[str, ...] = METHODS) -> None:
    """Score the suite by the methods and print the overlaps."""
    name, *others = methods
    raw = {
        "model": {"path": folder},
        "tasks": {"suite": "ioi"},
        "scoring": {"method": name, "also": others, "metric": "logit_difference"},
    }
    scores = reportgen.score(parse_study(raw, "study.toml", Path.cwd()))
    for method, (block, *_) in scores.methods.items():
        if block.importance.shape[1:] != SHAPE:
            raise SystemExit(f"this is no GPT-2 small: it has {block.n_layers} layers × {block.n_heads} heads")
        found, p = overlap(block.importance[0])
        print(f"{method}: {len(found)} of 26 (p = {p:.2g}): {', '.join(found)}")


if __name__ == "__main__":
    main(sys.argv[1], tuple(sys.argv[2:]) or METHODS)
