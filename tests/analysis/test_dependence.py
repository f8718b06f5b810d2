"""Examples that depend on each other: identical ones, those of a group, and those that follow each other."""

from pathlib import Path

import numpy as np
import pytest

from reportgen.core.scores import HeadScores, split_halves
from reportgen.core.stats import effective_examples
from reportgen.importers import load_scores

CASES = Path("/work/shared/cases")


def series(phi: float, n: int = 120, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n, 8, 1))
    for i in range(1, n):
        level[i] = phi * level[i - 1] + np.sqrt(1 - phi**2) * level[i]
    values: np.ndarray = np.exp(0.5 * level + 0.5 * rng.normal(size=(n, 8, 6)))
    return values


def examples_of(values: np.ndarray):  # type: ignore[no-untyped-def]
    return HeadScores.from_array(values.mean(axis=0), "a", examples=[values]).examples[0]


@pytest.mark.parametrize(("phi", "most", "least"), [(0.95, 8, 1), (0.8, 20, 3), (0.0, 120, 120)])
def test_examples_that_follow_each_other_are_blocks(phi: float, most: int, least: int) -> None:
    for seed in range(3):
        found = examples_of(series(phi, seed=seed))
        assert least <= len(set(found.groups)) <= most
        assert found.ordered == (phi > 0)
    assert effective_examples(series(0.95), ["x"] * 120) < 20 < 60 < effective_examples(series(0.0), ["x"] * 120)


def test_identical_examples_are_one_group_and_stand_in_one_half() -> None:
    found = examples_of(np.concatenate([series(0.0, 10)] * 4))
    assert len(set(found.groups)) == 10
    assert all(len({*found.discovery[np.array(found.groups) == g]}) == 1 for g in set(found.groups))
    hits = np.zeros((30, 4, 4))
    hits[np.arange(30) % 2 == 0, 1, 1] = 1
    assert len(set(examples_of(hits).groups)) == 30  # hits and misses are alike by chance


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not here")
def test_probes_that_were_repeated_are_as_many_as_differ() -> None:
    found = load_scores(CASES / "repeated_probes.json").examples[0]
    assert found is not None
    assert (len(found.ids), len(set(found.groups))) == (40, 9)


def table(tmp_path: Path, groups: list[str] | None, study: str = "") -> Path:
    values, head = series(0.0, 24, 3)[:, :2, :2], "task,layer,head,importance,example" + (",group" if groups else "")
    rows = [
        f"a,{i},{j},{values[e, i, j]},{e}" + (f",{groups[e]}" if groups else "")
        for e in range(24)
        for i in range(2)
        for j in range(2)
    ]
    (tmp_path / "s.csv").write_text("\n".join([head, *rows]) + "\n")
    return tmp_path / "s.csv"


def test_a_table_says_its_groups_and_a_study_its_order(tmp_path: Path) -> None:
    from reportgen.core.config import ScoresSection

    path = table(tmp_path, [f"g{e // 3}" for e in range(24)])
    found = load_scores(path).examples[0]
    assert found is not None
    assert sorted(set(found.groups)) == [f"g{i}" for i in range(8)]
    plain = table(tmp_path, None)
    for ordered, count in ((True, 15), (False, 24), (None, 24)):
        told = load_scores(plain, ScoresSection(path=plain, ordered=ordered)).examples[0]
        assert told is not None
        assert (told.ordered, len(set(told.groups))) == (ordered is True, count)


def test_the_order_of_rows_decides_no_half() -> None:
    groups = [f"capital of {name}" for name in ("oman", "peru", "chad", "mali", "fiji", "cuba", "iran")] * 2
    half = dict(zip(groups, split_halves(groups, 3), strict=True))
    assert dict(zip(groups[::-1], split_halves(groups[::-1], 3), strict=True)) == half
    assert sum(half.values()) == 4
    numbers = [str(i) for i in range(30)]
    assert split_halves(numbers, 0).tolist() == split_halves(numbers[::-1], 0)[::-1].tolist()
