"""What a study of several methods adds: inert heads, agreement of rankings, and the norm as their control."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from test_detectors import kinds, noise, with_examples

from reportgen.analysis.analyze import analyze
from reportgen.analysis.detectors.inert_heads import EVERY
from reportgen.analysis.view import Settings
from reportgen.core.findings import Finding
from reportgen.core.scores import Examples, Family, HeadScores, Method, Task, split_halves

FAMILIES: dict[str, Family] = {
    "gate_gradient": "gradient",
    "zero_ablation": "ablation",
    "mean_ablation": "ablation",
    "activation_norm": "control",
}


def ablated(effects: np.ndarray, every: float = 100.0, name: str = "zero_ablation") -> HeadScores:
    """Exact ablation whose signed effects (task, example, layer, head) are given."""
    ids = tuple(map(str, range(effects.shape[1])))
    examples = tuple(Examples(e.astype(np.float32), ids, ids, split_halves(ids, 0)) for e in effects)
    tasks = tuple(Task(f"Task {t}", n=len(ids)) for t in range(len(effects)))
    method = Method(name, diagnostics={EVERY: {t.name: every for t in tasks}}, family=FAMILIES.get(name))
    return HeadScores(np.abs(effects).mean(axis=1), tasks, method, examples=examples)


def small_and_large(seed: int = 0, n: int = 160) -> np.ndarray:
    """Effects of two tasks, 8 layers × 8 heads: near 0 in layers 4–7 of both and in layer 3 of the first alone."""
    rng = np.random.default_rng(seed)
    mean = np.full((2, 1, 8, 8), 5.0)
    mean[:, :, 4:] = 0.05
    mean[0, :, 3] = 0.05
    effects: np.ndarray = mean + rng.normal(size=(2, n, 8, 8)) * np.where(mean > 1, 2.0, 0.5)
    return effects


def only(scores: HeadScores, kind: str, *others: HeadScores, **settings: float) -> list[Finding]:
    further = {o.method.name: o for o in others}
    return kinds(analyze(scores, Settings(detectors=(kind,), **settings), others=further), kind)  # type: ignore[arg-type]


def test_heads_within_the_margin_are_inert_and_the_rest_are_not() -> None:
    first, second, both = only(ablated(small_and_large()), "inert_heads")
    assert first.members == [f"L{i}H{j}" for i in range(3, 8) for j in range(8)]
    assert (first.task, second.task, both.task, both.tasks) == ("Task 0", "Task 1", None, ["Task 0", "Task 1"])
    assert second.members == both.members == first.members[8:]
    assert first.sentence.startswith(
        "Task 0: 40 of 64 heads are inert within the margin: ablating any one of them (zero ablation) changes the "
        "answer by less than 1.0 on average, 1 % of the 100 that ablating all heads changes (largest q < 0.0001)"
    )
    assert both.caveats == ["one-at-a-time"]
    assert not any("prun" in f.sentence for f in (first, second, both))


def test_a_narrower_margin_and_fewer_examples_leave_less_to_say() -> None:
    effects = small_and_large()
    assert not only(ablated(effects), "inert_heads", margin=0.001)
    assert not only(ablated(effects[:, :14]), "inert_heads")
    assert not only(ablated(effects, every=0.0), "inert_heads")
    assert not only(ablated(effects, name="gate_gradient"), "inert_heads")


def test_the_ablation_of_a_further_method_is_used_and_named() -> None:
    effects = small_and_large()
    found = only(ablated(effects, name="gate_gradient"), "inert_heads", ablated(effects, name="mean_ablation"))
    assert {f.method for f in found} == {"mean_ablation"}
    assert "(mean ablation)" in found[0].sentence


def test_effects_that_cancel_are_told() -> None:
    effects = small_and_large(n=400)
    effects[:, :, 7, 7] = np.resize([3.0, -3.0], 400)
    found = only(ablated(effects), "inert_heads")[0]
    assert "L7H7" in (found.members or [])
    assert found.sentence.endswith(
        "; on held-out examples 1 of them changes single answers by more, in directions that cancel."
    )


@pytest.mark.parametrize("kind", ["rare", "skewed", "symmetric"])
def test_heads_at_the_margin_are_not_called_inert(kind: str) -> None:
    fired = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        shape = (2, 60, 8, 8)
        effects = {
            "rare": (rng.random(shape) < 0.05) * 20.0,
            "skewed": np.exp(1.5 * rng.normal(size=shape) - 1.125),
            "symmetric": rng.normal(1, 1, size=shape),
        }[kind]
        fired += bool(only(ablated(effects), "inert_heads"))
    assert fired <= 4


def norm_and_ablation(informed: float, seed: int = 0) -> tuple[HeadScores, HeadScores, HeadScores]:
    """A score, exact ablation and the norm: the score knows of the ablation beyond the norm as far as ``informed``."""
    rng = np.random.default_rng(seed)
    size, truth = rng.normal(size=(3, 10, 10)), rng.normal(size=(3, 10, 10))
    exact = with_examples(np.exp(size + truth), 60, seed=seed)
    score = with_examples(np.exp(size + informed * truth + (1 - informed) * rng.normal(size=truth.shape)), 60, seed=9)
    norm = with_examples(np.exp(size), 60, seed=8)
    named = (Method(name, family=FAMILIES[name]) for name in ("gate_gradient", "zero_ablation", "activation_norm"))
    return tuple(replace(s, method=m) for s, m in zip((score, exact, norm), named, strict=True))  # type: ignore[return-value]


def test_a_score_that_knows_no_more_than_the_norm_is_told_so_first() -> None:
    control, *pairs = only(*_order(norm_and_ablation(0.0)))
    assert control.data is not None
    assert control.data["low"] < 0.05
    assert control.data["verdict"] in ("no more", "less")
    assert control.sentence.startswith(
        "The ranking by gate gradient shows no more than activation size: its mean rank "
    )
    assert control.priority > max(p.priority for p in pairs)
    assert control.caveats == ["activation-size"]


def test_a_score_that_knows_more_than_the_norm_is_told_so() -> None:
    control = only(*_order(norm_and_ablation(0.9)))[0]
    assert control.data is not None
    assert control.data["low"] > 0
    assert control.sentence.startswith(
        "The ranking by gate gradient agrees more with zero ablation than the activation"
    )


def _order(three: tuple[HeadScores, HeadScores, HeadScores]) -> tuple[HeadScores, str, HeadScores, HeadScores]:
    return three[0], "method_agreement", three[1], three[2]


def test_the_interval_against_the_norm_covers() -> None:
    """Three fixed maps, other examples each time: the interval is about what as many examples would give."""
    rng = np.random.default_rng(5)
    maps = [np.exp(rng.normal(size=(2, 8, 8))) for _ in range(3)]
    rows = []
    for seed in range(60):
        three = [with_examples(m, 40, 1.5, seed=seed * 3 + i) for i, m in enumerate(maps)]
        named = (Method(name, family=FAMILIES[name]) for name in ("gate_gradient", "zero_ablation", "activation_norm"))
        three = [replace(s, method=m) for s, m in zip(three, named, strict=True)]
        data = only(three[0], "method_agreement", three[1], three[2])[0].data
        assert data is not None
        rows.append((data["difference"], data["low"], data["high"]))
    difference, low, high = np.array(rows).T
    assert ((low < difference.mean()) & (high > difference.mean())).mean() >= 0.88


def test_pairs_count_the_heads_that_both_put_on_top() -> None:
    tensor = noise(1, (2, 10, 10))
    other = tensor.copy()
    other[:, 0, 0], tensor[:, 0, 0] = 1e-6, 1e6
    first, second = (replace(with_examples(t, 20, 0.01), method=Method(n)) for t, n in ((tensor, "a"), (other, "b")))
    (pair,) = only(first, "method_agreement", second)
    assert pair.data is not None
    assert pair.data["rhos"][0] == pytest.approx(
        stats.spearmanr(first.importance[0].ravel(), second.importance[0].ravel()).statistic
    )
    assert pair.members == ["L0H0"]
    assert (pair.data["places"], pair.data["other_places"]) == ([1], [100])
    assert (pair.data["top"], pair.data["chance"], pair.data["shared"]) == (10, 1.0, 9.0)
    assert (
        "of the 10 largest heads on a task 9.0 are the same on average, where unrelated rankings would share 1.0; "
        in (pair.sentence)
    )
    assert not only(first, "method_agreement")
