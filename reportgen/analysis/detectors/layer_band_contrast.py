"""Layer-band contrasts: layers in which the tasks of one of the study's groups hold more of their importance."""

from collections.abc import Sequence
from math import comb
from typing import cast

import numpy as np
from jaxtyping import Float
from typing_extensions import TypedDict

from reportgen.analysis.statistics.groupings import contrasts, relabellings, smallest_p
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.caveats import IN_SAMPLE
from reportgen.core.findings import Effect, Family, Finding
from reportgen.core.kinds import Maps, closed
from reportgen.core.stats import benjamini_hochberg

DOC = """Layers in which the tasks of one of the study's groups hold more, or less, of their importance than others.

Only for the groups that the study names ([tasks] groups), each against all other tasks (but the control task).
Statistic: the largest difference between the groups' mean shares over all bands of 2 layers to half of them; so a band
chosen by looking pays for its choice. Null: which tasks form the group is arbitrary; all relabellings of the tasks, or
as many random ones as there are permutations. Tasks, not heads or examples, are what is counted.
Benjamini–Hochberg over groups; this planned comparison gets three tenths of alpha or a little more, where that lets it
pass. The band is chosen on the discovery half, shares are read from the held-out one.
Observed, where so few tasks could never pass: the band of largest difference, where no other relabelling differs as
much, and the smallest p that could be reached.
Silent without task groups, with fewer than 4 layers that have heads, and where a passing test was possible and failed.
"""
PRIORITY = {"tested": 0.86, "observed": 0.4}
# Tasks are what is counted: with cells in their place .84 of empty maps showed a contrast. So few tasks reach no small
# p, and a planned comparison gets a large part of alpha: two tasks of eight rank first of 28 at best, p .036.
FEWEST, PART = 4, 0.3  # the part of alpha that the kind gets at least, where it can be tested
RULE = "band of 2 layers to half of them with a larger difference of mean shares than other relabellings have"


@closed
class Data(TypedDict):
    """``inside`` and ``outside`` are the mean percentages of their importance that the group's tasks and the other
    tasks hold in the band; ``other`` names those where they are a group of their own; ``smallest_p`` is the least p
    that ``relabellings`` of the tasks could give.
    """

    group: str
    other: str | None
    members: int
    others: int
    inside: float
    outside: float
    points: float
    relabellings: int
    smallest_p: float


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """One finding a contrast."""
    layers, tasks = np.flatnonzero(view.present.any(axis=1)), _tasks(view)
    planned = contrasts(view, tasks)
    if len(layers) < FEWEST or not planned:
        return Outcome("layer_band_contrast")
    shares = _shares(view.maps[tasks])[:, layers]
    tested = [_test(view, shares, np.isin(tasks, inside)) for _, inside, _ in planned]
    level = view.levels.get("layer_band_contrast", 0.0)
    able = [i for i, (*_, smallest) in enumerate(tested) if smallest <= level]
    family = view.family("layer_band_contrast", len(able), "Benjamini–Hochberg over task groups")
    q = dict(zip(able, benjamini_hochberg([tested[i][1] for i in able]), strict=True))
    findings, silent = [], dict[str | None, float]()
    for i, (contrast, test) in enumerate(zip(planned, tested, strict=True)):
        if i in q and q[i] > family.alpha:
            silent[None] = min(q[i], silent.get(None, 1.0))
        elif i in q or test[1] <= test[3] + 1e-9:  # others of so few relabellings differ as much: nothing to be seen
            findings.append(_finding(view, contrast, test, tasks, layers, q.get(i), family))
    return Outcome("layer_band_contrast", findings, family if able else None, {} if findings else silent)


def _tasks(view: View) -> list[int]:
    return [t for t in range(len(view.maps)) if t != view.control and np.nansum(view.maps[t]) > 0]


def _able(view: View) -> bool:
    """Whether some contrast's smallest p could pass: the family takes a large part of alpha, but only then."""
    tasks = _tasks(view)
    smallest = [
        smallest_p(len(tasks), len(inside), view.settings.permutations) for _, inside, _ in contrasts(view, tasks)
    ]
    layers = int(view.present.any(axis=1).sum())
    return layers >= FEWEST and min(smallest, default=1.0) <= PART * view.settings.alpha


def _shares(maps: Float[np.ndarray, "task layer head"]) -> Float[np.ndarray, "task layer"]:
    sums = np.nansum(maps, axis=2)
    result: np.ndarray = sums / sums.sum(axis=1, keepdims=True)
    return result


def bands(layers: int) -> list[tuple[int, int]]:
    """All bands of 2 layers to half of them, as first and last."""
    return [(a, a + n - 1) for n in range(2, layers // 2 + 1) for a in range(layers - n + 1)]


def band_sums(profiles: Float[np.ndarray, "*any layer"]) -> Float[np.ndarray, "*any band"]:
    """Return the sums of the profiles over every band of ``bands``."""
    along = np.cumsum(np.pad(profiles, [(0, 0)] * (profiles.ndim - 1) + [(1, 0)]), axis=-1)
    first, last = np.array(bands(profiles.shape[-1])).T
    result: np.ndarray = along[..., last + 1] - along[..., first]
    return result


def _test(view: View, shares: np.ndarray, inside: np.ndarray) -> tuple[tuple[int, int], float, int, float]:
    """Return the band, its p, the number of relabellings, and the smallest p that they can give."""
    sums = band_sums(shares)
    weights, smallest, every = relabellings(
        len(shares), int(inside.sum()), view.settings.permutations, view.settings.seed
    )
    difference = np.abs(sums[inside].mean(axis=0) - sums[~inside].mean(axis=0))
    largest = np.array([np.abs(row @ sums).max() for row in weights])
    reached = int((largest >= difference.max() - 1e-9).sum())
    p = reached / len(weights) if every else (1 + reached) / (1 + len(weights))
    return bands(shares.shape[1])[int(difference.argmax())], p, len(weights), smallest


def _finding(
    view: View,
    contrast: tuple[str, list[int], str | None],
    test: tuple[tuple[int, int], float, int, float],
    tasks: list[int],
    layers: np.ndarray,
    q: float | None,
    family: Family,
) -> Finding:
    (group, inside, other), (band, p, count, smallest) = contrast, test
    rest = [t for t in tasks if t not in inside]
    values = np.stack([view.read(t, whole=q is None) for t in tasks])
    held = 100 * _shares(values)[:, layers[band[0] : band[1] + 1]].sum(axis=1)
    means = [float(held[np.isin(tasks, some)].mean()) for some in (inside, rest)]
    data = Data(
        group=group,
        other=other,
        members=len(inside),
        others=len(rest),
        inside=means[0],
        outside=means[1],
        points=abs(means[0] - means[1]),
        relabellings=count,
        smallest_p=smallest,
    )
    in_sample = [] if q is not None and all(view.held_out(t) for t in tasks) else [IN_SAMPLE.code]
    name = "largest difference of mean shares over layer bands"
    tested = q is not None and view.test(
        name,
        "which tasks form the group is arbitrary",
        means[0] - means[1],
        p,
        q,
        family,
        None if count == comb(len(tasks), len(inside)) else count,
    )
    return view.finding(
        "layer_band_contrast",
        None,
        "tested" if tested else "observed",
        PRIORITY["tested" if tested else "observed"],
        tasks=[view.scores.task_names[t] for t in (*inside, *rest)],
        test=tested or None,
        rule=None if tested else RULE,
        layers=(int(layers[band[0]]), int(layers[band[1]])),
        effect=Effect("difference of mean shares, percentage points", means[0] - means[1]),
        data=data,
        caveats=in_sample,
    )


def _measured(finding: Finding, maps: Maps) -> float:
    """Return the difference of the groups' mean shares in the finding's layers, in percentage points."""
    first, last = finding.layers or (0, 0)
    names, members = list(finding.tasks or ()), cast(Data, finding.data)["members"]
    held = 100 * _shares(np.stack([maps[name] for name in names]))[:, first : last + 1].sum(axis=1)
    return float(held[:members].mean() - held[members:].mean())


DETECTOR = Detector(
    "layer_band_contrast",
    detect,
    order=130,
    doc=DOC,
    topic="tasks",
    data=Data,
    label="task groups",
    noun="layer band in which a task group differs from other tasks",
    together=True,
    priority=PRIORITY,
    several="differences of task groups by depth",
    weight=21,
    able=_able,
    measured=_measured,
)
