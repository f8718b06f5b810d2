"""Centres of importance along the layers: order, differences, contrast of task groups."""

from dataclasses import replace

import numpy as np
import pytest
from made_maps import ablated, found, grouped, named, noise, with_examples

from reportgen.analysis.statistics.centres import centre, differences, measure
from reportgen.analysis.view import Settings, View
from reportgen.core.findings import Finding
from reportgen.core.scores import HeadScores

LAYER = np.arange(24)[:, None]
COMPLEX, BASIC = [f"Task {t}" for t in (4, 5, 6, 7)], [f"Task {t}" for t in (0, 1, 2, 3)]


def bumps(seed: int = 3, apart: float = 2.0) -> np.ndarray:
    """Maps of eight tasks whose importance lies around layers that far apart."""
    tensor = noise(seed, (8, 24, 12))
    return np.stack([each * np.exp(-(((LAYER - 4 - apart * t) / 4) ** 2) / 2) for t, each in enumerate(tensor)])


def signed(maps: np.ndarray, sd: list[float], seed: int = 0, n: int = 40, name: str = "zero_ablation") -> HeadScores:
    """Examples that scatter around signed maps, each task's by its own standard deviation."""
    rng = np.random.default_rng(seed)
    effects = np.stack([m + s * rng.normal(size=(n, *m.shape)) for m, s in zip(maps, sd, strict=True)])
    return replace(ablated(effects, name=name), importance=effects.mean(axis=1), reduction="mean")


def only(scores: HeadScores, **settings: object) -> list[Finding]:
    return found(scores, "depth", **settings)


def test_tasks_are_told_in_their_order_with_the_pairs_that_differ() -> None:
    (finding,) = only(with_examples(bumps(), 60))
    assert finding.test is not None
    assert finding.tasks == [f"Task {t}" for t in range(8)]
    data = finding.data or {}
    truth = [float((LAYER[:, 0] * m.sum(axis=1)).sum() / m.sum()) for m in bumps()]
    assert data["centres"] == pytest.approx(truth, abs=0.3)
    assert (data["apart"], data["pairs"], data["middle"]) == (28, 28, 11.5)
    assert finding.sentence.startswith(
        "Along the layers the tasks' centres of importance are, shallowest first, Task 0 "
    )
    assert "; 28 of 28 pairs of tasks differ (q < 0.0001)." in finding.sentence


def test_the_contrast_of_groups_says_whether_one_lies_deeper() -> None:
    _, deeper = only(grouped(with_examples(bumps(), 60), complex=COMPLEX, basic=BASIC))
    data = deeper.data or {}
    assert (data["group"], data["other"], data["reached"], data["relabellings"]) == ("basic", "complex", 2, 70)
    assert data["low"] < data["layers"] < data["high"]
    assert data["outside"] - data["inside"] == pytest.approx(data["layers"])
    assert "layers shallower (95 % interval " in deeper.sentence
    alike = np.broadcast_to(noise(4, (1, 24, 12)), (8, 24, 12))
    found_ = only(grouped(with_examples(alike, 60), complex=COMPLEX, basic=BASIC))
    assert [f.sentence.endswith("so depth does not tell the groups apart.") for f in found_] == [True]


def test_enough_tasks_let_the_contrast_be_tested() -> None:
    maps = np.concatenate([bumps(1, 0.0), bumps(2, 0.0)[:, ::-1]])[:14]
    (contrast,) = [
        f for f in only(grouped(named(maps), deep=[f"Task {t}" for t in range(8, 14)])) if "group" in (f.data or {})
    ]
    assert contrast.test is not None
    assert (contrast.data or {})["reached"] == 1


def test_tasks_of_one_map_do_not_differ_however_noisy() -> None:
    """Sizes, and sums cut off at 0, are pulled to the middle by noise, so that noisy tasks seemed deeper."""
    fired = 0
    for seed in range(12):
        one = noise(seed, (1, 24, 12)) * np.exp(-LAYER / 5)
        maps = np.broadcast_to(
            one * np.random.default_rng(seed).choice([-1, 1], p=[0.2, 0.8], size=one.shape), (8, 24, 12)
        )
        for name in ("zero_ablation", "other"):
            scores = signed(maps, [0.3] * 4 + [3.0] * 4, seed, name=name)
            fired += any(f.test for f in only(scores))
    assert fired <= 2


def test_noise_alone_has_no_centre_and_no_order() -> None:
    assert not only(named(noise(4, (8, 24, 12))))
    scores = signed(np.zeros((2, 24, 12)), [1.0, 1.0])
    view = View(scores, Settings())
    assert measure(view) == "signed effects"
    assert [centre(view, t, measure(view)) for t in range(2)].count(None) >= 1


def test_few_tasks_are_only_observed_and_one_task_is_named() -> None:
    (three,) = only(with_examples(bumps()[:3], 60))
    assert (three.register, (three.data or {})["apart"]) == ("observed", None)
    (one,) = only(with_examples(bumps()[:1], 60))
    assert one.task == "Task 0"
    assert one.value is not None
    assert one.value.low is not None
    assert one.value.low < one.value.estimate < (one.value.high or 0)
    assert one.sentence.startswith("Task 0: the centre of importance along the layers is at ")


def test_differences_are_those_of_all_pairs_at_once() -> None:
    """Of eight estimates of one centre, some pair differs at 5 % in 5 % of cases."""
    from reportgen.analysis.statistics.centres import Centre

    rng = np.random.default_rng(0)
    fired = sum(
        differences([Centre(float(x), 1.0, 10) for x in rng.standard_t(10, size=8)], 0).p.min() <= 0.05
        for _ in range(80)
    )
    assert 1 <= fired <= 11  # at 5 %, none or twelve and more of 80 happen in 2.5 % of runs; the seed is fixed
