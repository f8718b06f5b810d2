"""In how many specifications a claim holds: ways of testing it, or of reading the scores, that could as well have been
chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from reportgen.core.blocks import Blocks, parsed
from reportgen.core.findings import Finding, Robustness
from reportgen.core.kinds import Kind, kind_of
from reportgen.core.scores import Examples

FEWEST = 8  # specifications below which their count says nothing
HALVES = ("first half", "second half")
# What of an effect has to be left: half of it is what a reader would still call the same finding
LEFT = {"half the effect": 0.5, "three quarters of the effect": 0.75}


def counted(holds: Mapping[tuple[str, ...], bool]) -> Robustness | None:
    """Count the specifications in which a claim holds, each named by its levels of every factor; None for too few.

    Where a quarter of them fail, the level with the lowest share is named; else what all that fail have in common.
    Specifications share their data: their number is no evidence, and no p comes from it.
    """
    if len(holds) < FEWEST:
        return None
    failing = [levels for levels, holding in holds.items() if not holding]
    common = tuple(level for level in next(iter(failing), ()) if all(level in each for each in failing))
    if 4 * len(failing) >= len(holds):
        levels = dict.fromkeys(level for each in holds for level in each)
        share = {level: fmean(holding for each, holding in holds.items() if level in each) for level in levels}
        common = (min(share, key=lambda level: share[level]),)
    return Robustness(len(holds) - len(failing), len(holds), common)


def of_scores(finding: Finding, blocks: Blocks) -> Robustness | None:
    """Count the readings of the scores in which a finding holds as it does in all examples: reductions of examples,
    halves of these, and how much of the effect has to be left, its sign kept.

    The effect of a finding that names heads for mattering is the mean rank of these over that of all others; one on
    layers or groups of tasks has its kind's. None for other findings, and where examples are unknown.
    """
    kind = kind_of(finding.kind)
    scores = next((b for b in blocks if b.block == finding.block), None)
    # of all blocks of an encoder-decoder together there is no map
    if scores is None or kind.remark or kind.apart:
        return None
    names = [finding.task] if finding.task else finding.tasks or []
    examples = {n: e for n, e in zip(scores.task_names, scores.examples, strict=True) if n in names and e is not None}
    known = {name: e for name, e in examples.items() if 0 < e.discovery.sum() < len(e.discovery)}
    effect = _effect(finding, kind, scores.present)
    if effect is None or len(known) != len(names) or not known:
        return None
    holds: dict[tuple[str, ...], bool] = {}
    for reduction in reductions([*known.values()]):

        def read(half: str | None, reduction: str = reduction) -> float:
            some = {n: slice(None) if half is None else e.discovery == (half == HALVES[0]) for n, e in known.items()}
            maps = {n: _reduced(reduction, e.values[some[n]].astype(np.float64)) for n, e in known.items()}
            return effect(maps)

        whole = read(None)
        for half in HALVES:
            part = read(half)
            for left, share in LEFT.items():
                holds[reduction, half, left] = part >= share * whole > 0
    return counted(holds)


def _effect(
    finding: Finding, kind: Kind, present: Bool[np.ndarray, "layer head"]
) -> Callable[[Mapping[str, Float[np.ndarray, "layer head"]]], float] | None:
    """Return how far a finding holds on maps, above 0 where it does; None for what can be read off no map."""
    if (measured := kind.measured) is not None:
        size = 0.0 if finding.effect is None else finding.effect.estimate
        return (lambda maps: float(np.sign(size)) * measured(finding, maps)) if size else None
    inside = _mask(finding, present)
    if not kind.important or not inside.any() or not (present & ~inside).any():
        return None
    return lambda maps: fmean(_ahead(values, inside, present) for values in maps.values())


def reductions(examples: Sequence[Examples]) -> tuple[str, str]:
    """Return the two ways in which examples are made one map: of signed values their signs may cancel, or not."""
    signed = any((e.values < 0).any() for e in examples)
    return ("mean of sizes", "size of the mean") if signed else ("mean", "median")


def _ahead(
    values: Float[np.ndarray, "layer head"],
    inside: Bool[np.ndarray, "layer head"],
    present: Bool[np.ndarray, "layer head"],
) -> float:
    """Return by how much the mean rank of some heads, from 0 to 1, exceeds that of the others."""
    ranks = rankdata(values[present]) / present.sum()
    return float(ranks[inside[present]].mean() - ranks[~inside[present]].mean())


def _reduced(reduction: str, values: Float[np.ndarray, "example layer head"]) -> Float[np.ndarray, "layer head"]:
    if reduction == "median":
        return np.asarray(np.median(values, axis=0))
    if reduction == "size of the mean":
        return np.asarray(np.abs(values.mean(axis=0)))
    return np.asarray((np.abs(values) if reduction == "mean of sizes" else values).mean(axis=0))


def _mask(finding: Finding, present: Bool[np.ndarray, "layer head"]) -> Bool[np.ndarray, "layer head"]:
    named = [parsed(member) for member in finding.members or () if isinstance(member, str)]
    mask = finding.mask(present.shape) if not named else np.zeros(present.shape, dtype=bool)
    for head in named:
        mask[head.layer, head.head] = True
    found: np.ndarray = mask & present
    return found
