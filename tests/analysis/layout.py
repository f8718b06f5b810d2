"""Which planted items of the sample figure a list of findings gives back, and other backgrounds to plant them in."""

import make_scores
import numpy as np

from reportgen.core.findings import Findings

BACKGROUNDS = {
    "lognormal 0.6": lambda rng, shape: np.exp(rng.normal(np.log(2e-4), 0.6, shape)),
    "lognormal 0.8": lambda rng, shape: np.exp(rng.normal(np.log(2e-4), 0.8, shape)),
    "gamma": lambda rng, shape: rng.gamma(1.2, 2e-4, shape),
    "exponential": lambda rng, shape: rng.exponential(2e-4, shape),
    "Pareto 3": lambda rng, shape: 1.5e-4 * (1 + rng.pareto(3, shape)),
    "lognormal 0.5, higher": lambda rng, shape: np.exp(rng.normal(np.log(3.5e-4), 0.5, shape)),
}
SHAPE = (make_scores.LAYERS, make_scores.HEADS)


def missing(findings: Findings) -> list[str]:
    """The planted items that no finding of the right kind and place names."""
    return [
        *(
            f"{task} {region[:4]}"
            for task, regions in make_scores.REGIONS.items()
            for region in regions
            # a single head of 4.6 SD and a layer without a large head are no rare sight in 8 × 32 × 32 heads of noise:
            # observed rules are silent there, and rankings list them
            if region[:2] != region[:1] * 2 or region[2] != region[3]
            if not _region(findings, task, region[:4])
        ),
        *([] if _layers(findings, "Knowledge Recall", "layer_gradient", 24, 30) else ["Knowledge Recall darkening"]),
        *([] if _has(findings, "Retrieval", "diagonal_gradient") else ["Retrieval diagonal"]),
        *(
            []
            if _layers(findings, "Logical Reasoning", "sparse_layers", 1, 3)
            else ["Logical Reasoning sparse below 5"]
        ),
        *([] if _layers(findings, "Syntactic Understanding", "scattered_heads", 30, 30) else ["Syntactic sporadic"]),
    ]


def _region(findings: Findings, task: str, planted: tuple[int, int, int, int]) -> bool:
    top, bottom, first, last = planted
    truth = np.zeros(SHAPE, dtype=bool)
    truth[top : bottom + 1, first : last + 1] = True
    kind = "row_segment" if top == bottom else "cluster"
    masks = [f.mask(SHAPE) for f in findings.by_task(task) if f.kind == kind]
    return any((m & truth).sum() / (m | truth).sum() >= 0.5 for m in masks)


def _layers(findings: Findings, task: str, kind: str, first: int, last: int) -> bool:
    return any(f.layers[0] <= first and f.layers[1] >= last for f in findings.by_task(task) if f.kind == kind)


def _has(findings: Findings, task: str, kind: str) -> bool:
    return any(f.kind == kind for f in findings.by_task(task))
