"""Cross-task heads: heads near the top of their layer in more tasks than independence predicts."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.statistics.relative import difference, level
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import MAYBE_GENERIC
from reportgen.core.findings import Effect
from reportgen.core.kinds import Guidance, closed
from reportgen.core.scores import Head
from reportgen.core.stats import among_top, benjamini_hochberg, monte_carlo_p

DOC = """Heads near the top of their layer in more tasks than independence predicts.

Statistic: the number of tasks in which the head is in the top 10 % of its layer. Null: each task places its top heads
in the layer independently (exact Poisson-binomial; with one share for all tasks, binomial). One finding names the whole
set. It is tested over all heads together: how many heads (key/value groups) reach half of the tasks or more, the
least likely of these numbers, against heads that reach them by chance. Where that passes, the set is all heads of a
Benjamini–Hochberg q of at most .05: of those named, at most that share is expected to be chance.
Where the study names a control task, that is none of the tasks; the finding counts the heads that are in the top 10 %
of their layer there too and, with held-out examples, those shown to be larger on the tasks that share them than on the
control task, relative to their layers: jackknife t tests over resampling groups, Bonferroni over the heads found.
Silent with fewer than three tasks.
"""
PRIORITY = {"tested": 0.82}
# A fixed count, as the top tenth in four tasks of eight, is reached by chance on .995 of empty maps; the exact
# Poisson-binomial with its correction over heads on at most .025.
TOP, SHOWN, TASKS = 0.10, 5, 3  # share of a layer that is its top; heads that the sentence names; fewest tasks
# In layers of 9 heads no count of 5 of 8 tasks passes for itself, although by chance .1 heads of 270 have it and not
# ten. So heads are tested together at the family's level, and named at a false discovery rate of their own.
RATE = 0.05


class BesideControl(TypedDict):
    """How many heads are top heads of the ``control`` task too; how many are shown to be larger on the tasks that share
    them, and the largest q of these. None without a control task or without what a test needs.
    """

    control: str | None
    in_control: int | None
    beyond: int | None
    beyond_q: float | None


@closed
class Data(BesideControl):
    """In the members' order: in how many of the ``tasks`` each head is a top head (``counts``), its ``q`` and their
    names (``sharing``). A layer's top is ``places`` heads (None: that differs); chance predicts ``expected`` tasks.
    """

    shown: int
    more: int
    largest_q: float
    counts: list[int]
    q: list[float]
    tasks: int
    places: int | None
    expected: float
    sharing: list[list[str]]


def in_top(view: View) -> tuple[np.ndarray, Float[np.ndarray, "layer"]]:
    """Which heads are in the top 10 % of their layer (task, layer, head), and that share of each layer."""
    count = view.present.sum(axis=1)
    top = np.maximum(1, np.round(TOP * count)).astype(int)
    return among_top(view.whole, top[:, None]), top / np.maximum(count, 1)


def _top_size(view: View, heads: Sequence[Head]) -> int | None:
    """How many heads are the top of a layer; None where the found heads' layers differ in that."""
    counts = {max(1, round(TOP * int(view.present[h.layer].sum()))) for h in heads}
    return counts.pop() if len(counts) == 1 else None


def _able(view: View) -> bool:
    return len(view.scores.tasks) - (view.control is not None) >= TASKS


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Return the set of heads shared by more tasks than chance would give."""
    names = view.scores.task_names
    compared = [t for t in range(len(names)) if t != view.control]
    tasks = len(compared)
    if not _able(view):
        return Outcome("cross_task_head")
    family = view.family("cross_task_head", 1, "one test over all heads; those named by Benjamini–Hochberg at .05")
    every, share = in_top(view)
    top = every[compared]
    counts = top.sum(axis=0)
    p_map = stats.binom.sf(counts - 1, tasks, share[:, None])
    cells = [Head(int(i), int(j)) for i, j in np.argwhere(view.present)]
    q = benjamini_hochberg([float(p_map[h]) for h in cells])
    p = _together(view, counts, share, tasks)
    found = sorted(
        (k for k in range(len(cells)) if q[k] <= RATE),
        key=lambda k: (q[k], -view.whole[:, cells[k].layer, cells[k].head].mean()),
    )
    if p > family.alpha or not found:
        return Outcome("cross_task_head", family=family, silent={None: p})
    heads = [cells[k] for k in found]
    sharing = [[compared[k] for k in np.nonzero(top[:, h.layer, h.head])[0]] for h in heads]
    data: Data = {
        "shown": min(SHOWN, len(heads)),
        "more": max(0, len(heads) - SHOWN),
        "largest_q": max(q[k] for k in found),
        "counts": [int(counts[h]) for h in heads],
        "q": [q[k] for k in found],
        "tasks": tasks,
        "places": _top_size(view, heads),
        "expected": float(tasks * max(share[h.layer] for h in heads)),
        "sharing": [[names[t] for t in those] for those in sharing],
        **_beside_control(view, heads, sharing, every, family.alpha),
    }
    layers, columns = [h.layer for h in heads], [h.head for h in heads]
    finding = view.finding(
        "cross_task_head",
        None,
        "tested",
        PRIORITY["tested"],
        tasks=[names[t] for t in compared],
        members=[str(h) for h in heads],
        layers=(min(layers), max(layers)),
        heads=(min(columns), max(columns)),
        cells=[(h.layer, h.head) for h in heads],
        test=view.test(
            "heads by the number of tasks with them in their layer's top 10 %",
            "tasks place their top heads independently",
            len(heads),
            p,
            p,
            family,
            view.settings.permutations,
        ),
        effect=Effect("most tasks that share one head", float(counts[heads[0]])),
        data=data,
        caveats=[MAYBE_GENERIC.code] if view.control is None else [],
    )
    return Outcome("cross_task_head", [finding], family)


def _together(view: View, counts: np.ndarray, share: Float[np.ndarray, "layer"], tasks: int) -> float:
    """Return the p of as many heads reaching some number of tasks, over all from half of them on.

    Heads that share keys and values count once. Heads of a layer compete for its top, so their number is no more spread
    than independent ones', which beyond its mean is no likelier than a Poisson variable (Hoeffding 1956, Ann. Math.
    Stat. 27:713). The smallest of these probabilities is held against that of heads which reach numbers of tasks by
    chance, so that one head of many tasks counts as well as many heads of fewer.
    """
    heads, least = view.present.sum(axis=1), np.arange(-(-tasks // 2), tasks + 1)
    sizes = {float(s): int(heads[share == s].sum()) for s in np.unique(share[heads > 0])}
    chances = {s: stats.binom.pmf(np.arange(tasks + 1), tasks, s) for s in sizes}
    expected = np.sum([n * _at_least(chances[s])[least] for s, n in sizes.items()], axis=0)
    reached = counts.reshape(len(counts), -1, view.group_size).max(axis=2)
    own = _smallest((reached[..., None] >= least).sum(axis=(0, 1)), expected)
    rng, draws = np.random.default_rng([view.settings.seed, tasks]), view.settings.permutations
    drawn = np.sum([rng.multinomial(n, chances[s] / chances[s].sum(), draws) for s, n in sizes.items()], axis=0)
    null = _smallest(_at_least(drawn)[:, least], expected)
    return monte_carlo_p(int((null <= own * (1 + 1e-9)).sum()), draws)


def _at_least(values: np.ndarray) -> np.ndarray:
    """Return the sums of each value and those behind it."""
    result: np.ndarray = values[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return result


def _smallest(reached: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the smallest probability of so many heads where so many are expected."""
    result: np.ndarray = stats.poisson.sf(reached - 1, expected).min(axis=-1)
    return result


def _beside_control(
    view: View, heads: Sequence[Head], sharing: Sequence[Sequence[int]], top: np.ndarray, alpha: float
) -> BesideControl:
    """How many of the heads are top heads of the control task too, and how many are shown to be larger elsewhere."""
    if view.control is None:
        return {"control": None, "in_control": None, "beyond": None, "beyond_q": None}
    q = []
    for head, tasks in zip(heads, sharing, strict=True):
        first, second = [level(view, t, head) for t in tasks], level(view, view.control, head)
        known = [each for each in first if each is not None]
        apart = difference(known, second) if second is not None and len(known) == len(first) else None
        q.append(None if apart is None else min(1.0, apart.p * len(heads)))
    tested = [each for each in q if each is not None]
    passed = [each for each in tested if each <= alpha]
    return {
        "control": view.scores.task_names[view.control],
        "in_control": int(sum(bool(top[view.control][h]) for h in heads)),
        "beyond": len(passed) if tested else None,
        "beyond_q": max(passed) if passed else None,
    }


DETECTOR = Detector(
    "cross_task_head",
    detect,
    order=80,
    doc=DOC,
    topic="heads",
    data=Data,
    label="shared head",
    noun="head shared by more tasks than independence predicts",
    together=True,
    caveats=(MAYBE_GENERIC,),
    priority=PRIORITY,
    guidance=Guidance(
        "Heads shared by tasks",
        "A head that ranks high on many tasks may serve what the tasks have in common, which can be as general as "
        "producing any text. A control task of neutral text would tell these cases apart.",
    ),
    shown="counted",
    tried=True,
    several="heads that lead their layers on many tasks",
    missed="under 3 SD a shared head",
    weight=5,
    able=_able,
)
