"""Groups of tasks that a study names, and the other groups that its tasks could form."""

from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float

from reportgen.analysis.view import View


def contrasts(view: View, tasks: list[int]) -> list[tuple[str, list[int], str | None]]:
    """Return each group that the study names, its tasks, and the group that the other tasks are (None: no single one).

    Of two groups that are each other's rest only the first is returned.
    """
    members: dict[str, list[int]] = {}
    for t in tasks:
        if (group := view.scores.tasks[t].group) is not None:
            members.setdefault(group, []).append(t)
    found: list[tuple[str, list[int], str | None]] = []
    for group, inside in members.items():
        rest = [t for t in tasks if t not in inside]
        other = next((name for name, those in members.items() if those == rest), None)
        if rest and not any(other == name for name, _, _ in found):
            found.append((group, inside, other))
    return found


def smallest_p(tasks: int, inside: int, draws: int) -> float:
    """Return the smallest p that relabelling so many tasks, of which so many are inside the group, can give.

    Two groups of one size can change places without a change of the largest difference.
    """
    total = comb(tasks, inside)
    return (2 if 2 * inside == tasks else 1) / total if total <= draws else 1 / (1 + draws)


def relabellings(
    tasks: int, inside: int, draws: int, seed: int
) -> tuple[Float[np.ndarray, "relabelling task"], float, bool]:
    """Return weights giving the group's mean less the others', the smallest p they can give, whether they are all."""
    total = comb(tasks, inside)
    every = total <= draws
    rng = np.random.default_rng([seed, tasks, inside])
    chosen = (
        [list(c) for c in combinations(range(tasks), inside)]
        if every
        else [rng.permutation(tasks)[:inside].tolist() for _ in range(draws)]
    )
    weights = np.full((len(chosen), tasks), -1.0 / (tasks - inside))
    for row, group in zip(weights, chosen, strict=True):
        row[group] = 1.0 / inside
    return weights, smallest_p(tasks, inside, draws), every
