"""Depth: where along the layers each task's importance has its centre, and which tasks lie deeper than others."""

from collections.abc import Sequence

import numpy as np
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.statistics.centres import Centre, Measure, centre, differences, measure
from reportgen.analysis.statistics.groupings import contrasts, relabellings, smallest_p
from reportgen.analysis.statistics.trends import attending
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Effect, Family, Finding, Register, Test, Value
from reportgen.core.kinds import Maps, closed
from reportgen.core.stats import LEVEL, benjamini_hochberg

DOC = """Each task's centre of importance along the layers, the tasks in its order, and the contrast of task groups.

The centre is the mean layer number, each layer weighing as much as its heads' importances together. Noise would pull
it to the middle, so scores with signs enter with their signs: exact effects (ablation, patching, Shapley values) as
the sum over a layer's heads, other signed scores as products of the means of two different groups of examples, which
estimate squared effects; nothing is cut off at 0. Sizes of gradients, scores without signs and scores without examples
enter as importance is. 95 % intervals: Student's t with the delete-a-group jackknife. A task whose effects together lie
within 3 standard errors of 0 has no centre that could be told.
Tested, of 6 tasks or more with intervals: the largest standardised difference of two centres against that of
independent estimates of one centre (max-t); the pairs that differ are counted by the same null.
Each group that the study names ([tasks] groups) is held against all other tasks (but the control task): the difference
of mean centres, its interval over examples, and how many relabellings of the tasks lie as far apart. It is tested where
relabelling them could pass (family: the test above and these, Benjamini–Hochberg), else observed.
Observed otherwise: the order, where some task's centre lies further from the middle than heads in random order would
put one on 2 % of maps.
Silent with fewer than 4 layers that have heads.
"""
PRIORITY = {"tested": 0.66, "observed": 0.35, "groups": 0.5, "groups tested": 0.8}
FEWEST, TASKS, SHOWN, RARE = 4, 6, 8, 0.02
ORDINARY = 0.1  # share of relabellings: more of them lying as far apart, the group is nothing special
PART = 0.015  # of alpha, that the kind gets at least
RULE = "centres of importance along the layers, one of them where heads in random order put it on 2 % of maps at most"
CONTRAST = "mean centres of importance of the study's task groups; too few tasks to test it, or the test did not pass"
NULL, ARBITRARY = "one centre for all tasks, independently estimated", "which tasks form the group is arbitrary"


@closed
class Order(TypedDict):
    """``centres`` of the tasks, shallowest first, in layers, with 95 % intervals (None: not known); they are centres of
    this ``measure``. All heads alike would have theirs at ``middle``; ``unknown`` further tasks have none. ``apart`` of
    ``pairs`` pairs of tasks differ (None: not tested). The sentence names ``shown`` tasks and counts ``more``.
    """

    centres: list[float]
    lows: list[float | None]
    highs: list[float | None]
    measure: Measure
    middle: float
    unknown: int
    apart: int | None
    pairs: int
    shown: int
    more: int


@closed
class Contrast(TypedDict):
    """Mean centres of the group's tasks (``inside``) and of the others, and the size of their difference in ``layers``
    with its 95 % interval over examples (None: not known). ``reached`` of ``relabellings`` of the tasks, this one among
    them, lie as far apart, so that the group is ``ordinary`` where these are more than a tenth; ``other`` names the
    others where they are a group of their own.
    """

    group: str
    other: str | None
    members: int
    others: int
    inside: float
    outside: float
    layers: float
    low: float | None
    high: float | None
    measure: Measure
    reached: int
    relabellings: int
    ordinary: bool


def _able(view: View) -> bool:
    """Whether enough tasks have examples, or relabelling them could pass; what centres can be told is not known yet."""
    tasks, draws = [t for t in range(len(view.maps)) if t != view.control], view.settings.permutations
    smallest = [smallest_p(len(tasks), len(inside), draws) for _, inside, _ in contrasts(view, tasks)]
    enough = sum(e is not None for e in view.scores.examples) >= TASKS
    return len(attending(view)) >= FEWEST and (enough or min(smallest, default=1.0) <= PART * view.settings.alpha)


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding on the order of the tasks, and one for each group of tasks."""
    if len(attending(view)) < FEWEST:
        return Outcome("depth")
    of = measure(view)
    known = {t: c for t in range(len(view.whole)) if (c := centre(view, t, of)) is not None}
    order = sorted(known, key=lambda t: (known[t].layer, t))
    sized = [t for t in order if known[t].error is not None]
    pairs = differences([known[t] for t in sized], view.settings.seed) if len(sized) >= TASKS else None
    compared = sorted(t for t in known if t != view.control)
    planned = [_Planned(view, known, compared, *contrast, of) for contrast in contrasts(view, compared)]
    level = view.levels.get("depth", 0.0)
    able = [each for each in planned if each.smallest <= level]
    family = view.family("depth", (pairs is not None) + len(able), "Benjamini–Hochberg over this and task groups")
    ps = ([float(pairs.p.min())] if pairs is not None else []) + [each.p for each in able]
    qs = benjamini_hochberg(ps)
    q, rest = (qs[0], qs[1:]) if pairs is not None else (None, qs)
    passed = q is not None and q <= family.alpha
    findings = list[Finding]()
    if passed or _off_middle(view, order):
        test = None
        if passed and pairs is not None and q is not None:
            name = "largest standardised difference of two centres"
            test = view.test(name, NULL, float(pairs.sizes.max()), float(pairs.p.min()), q, family)
        apart = None if pairs is None else int((pairs.p <= family.alpha).sum())
        reach = None if pairs is None else pairs.reach
        findings.append(_ordered(view, known, order, of, test, apart, reach))
    tested = {id(each): each_q for each, each_q in zip(able, rest, strict=True) if each_q <= family.alpha}
    findings += [each.finding(tested.get(id(each)), family) for each in planned]
    silent: dict[str | None, float] = {} if passed or q is None else {None: q}
    return Outcome("depth", findings, family if ps else None, silent)


def _middle(view: View) -> float:
    return float(np.arange(view.scores.n_layers) @ view.present.sum(axis=1) / view.present.sum())


def _off_middle(view: View, order: Sequence[int]) -> bool:
    """Whether some task's centre lies where few maps whose heads stand in random order have theirs.

    The variance of Σ l v / Σ v over orders of the heads is exact; its law is close to normal, and narrower where few
    heads hold all.
    """
    layer = np.broadcast_to(np.arange(view.scores.n_layers)[:, None], view.present.shape)[view.present]
    n, bound = len(layer), stats.norm.isf(RARE / 2 / max(1, len(order)))
    for t in order:
        share = view.whole[t][view.present] / view.whole[t][view.present].sum()
        spread = np.sqrt(layer.var() * n / (n - 1) * max(0.0, float((share**2).sum()) - 1 / n))
        if abs(float(share @ layer) - layer.mean()) > bound * spread:
            return True
    return False


def _ordered(
    view: View,
    known: dict[int, Centre],
    order: list[int],
    of: Measure,
    test: Test | None,
    apart: int | None,
    reach: float | None,
) -> Finding:
    centres, names = [known[t] for t in order], view.scores.task_names
    first, last = centres[0], centres[-1]
    wide = (
        None
        if reach is None or first.error is None or last.error is None
        else reach * float(np.hypot(first.error, last.error))
    )
    gap = last.layer - first.layer
    effect = Effect(
        "layers between the shallowest and the deepest task",
        gap,
        *((gap - wide, gap + wide) if wide is not None else ()),
    )
    register: Register = "observed" if test is None else "tested"
    alone = order[0] if len(names) == 1 else None
    bounds = [c.bounds for c in centres]
    return view.finding(
        "depth",
        alone,
        register,
        PRIORITY[register],
        tasks=None if alone is not None else [names[t] for t in order],
        rule=RULE if test is None else None,
        test=test,
        value=None
        if alone is None
        else Value(first.layer, *first.bounds, "centre in layers; 95 % interval", "in-sample"),
        effect=effect if len(order) > 1 else None,
        data=Order(
            centres=[c.layer for c in centres],
            lows=[low for low, _ in bounds],
            highs=[high for _, high in bounds],
            measure=of,
            middle=_middle(view),
            unknown=len(names) - len(order),
            apart=apart,
            pairs=len(order) * (len(order) - 1) // 2,
            shown=min(SHOWN, len(order)),
            more=max(0, len(order) - SHOWN),
        ),
    )


class _Planned:
    """A group of tasks against the others: their mean centres, and where the difference ranks among relabellings."""

    def __init__(
        self,
        view: View,
        known: dict[int, Centre],
        tasks: list[int],
        group: str,
        inside: list[int],
        other: str | None,
        of: Measure,
    ) -> None:
        self.view, self.tasks = view, [*inside, *(t for t in tasks if t not in inside)]
        self.group, self.other, self.of = group, other, of
        self.sides = [known[t] for t in inside], [known[t] for t in tasks if t not in inside]
        at = np.array([known[t].layer for t in tasks])
        settings = view.settings
        weights, self.smallest, self.every = relabellings(len(tasks), len(inside), settings.permutations, settings.seed)
        apart = np.abs(weights @ at)
        own = abs(float(np.mean([known[t].layer for t in inside])) - float(np.mean([c.layer for c in self.sides[1]])))
        self.count, self.reached = len(weights), int((apart >= own - 1e-9).sum())
        self.p = self.reached / self.count if self.every else (1 + self.reached) / (1 + self.count)

    def finding(self, q: float | None, family: Family) -> Finding:
        """Return the finding, tested where a q is given."""
        inside, outside = (float(np.mean([c.layer for c in side])) for side in self.sides)
        errors = [[c.error for c in side] for side in self.sides]
        known = all(error is not None for side in errors for error in side)
        wide = float(np.sqrt(sum(sum((e or 0.0) ** 2 for e in side) / len(side) ** 2 for side in errors)))
        wide *= float(stats.t.ppf((1 + LEVEL) / 2, max(1, min(c.degrees for side in self.sides for c in side))))
        gap = inside - outside
        names, draws = self.view.scores.task_names, None if self.every else self.count
        name = "difference of mean centres"
        return self.view.finding(
            "depth",
            None,
            "observed" if q is None else "tested",
            PRIORITY["groups" if q is None else "groups tested"],
            tasks=[names[t] for t in self.tasks],
            rule=CONTRAST if q is None else None,
            test=None if q is None else self.view.test(name, ARBITRARY, gap, self.p, q, family, draws),
            effect=Effect(f"{name}, layers", gap, *((gap - wide, gap + wide) if known else ())),
            data=Contrast(
                group=self.group,
                other=self.other,
                members=len(self.sides[0]),
                others=len(self.sides[1]),
                inside=inside,
                outside=outside,
                layers=abs(gap),
                low=abs(gap) - wide if known else None,
                high=abs(gap) + wide if known else None,
                measure=self.of,
                reached=self.reached,
                relabellings=self.count,
                ordinary=self.p > ORDINARY,
            ),
        )


def _measured(finding: Finding, maps: Maps) -> float:
    """Return how many layers the deepest task's centre lies beyond the shallowest one's, or the group's beyond those of
    the others.
    """
    names = list(finding.tasks or ())
    sums = np.nansum(np.stack([maps[name] for name in names]), axis=2)
    with np.errstate(invalid="ignore"):
        centres = sums @ np.arange(sums.shape[1]) / sums.sum(axis=1)
    members = (finding.data or {}).get("members")
    if isinstance(members, int):
        return float(centres[:members].mean() - centres[members:].mean())
    return float(centres[-1] - centres[0])


DETECTOR = Detector(
    "depth",
    detect,
    order=125,
    doc=DOC,
    topic="layers",
    data=Order | Contrast,
    noun="difference in depth between two tasks",
    together=True,
    priority=PRIORITY,
    guidance=guidance.LAYERS,
    signed=True,
    several="differences in depth between tasks",
    weight=1,
    able=_able,
    measured=_measured,
)
