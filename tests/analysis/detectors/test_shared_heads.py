"""Heads that two tasks share beyond what shared layers give."""

import numpy as np
import pytest
from made_maps import found, named, noise

from reportgen.analysis.detectors.shared_heads import overlaps
from reportgen.core.scores import HeadScores, Model

HUMP = np.exp(1.8 * np.sin(np.linspace(0, np.pi, 24)))[:, None]


def sharing(seed: int, heads: int = 8, shape: tuple[int, ...] = (6, 24, 16), times: float = 10.0) -> np.ndarray:
    """Maps that share a profile of layers, two of them so many raised heads too."""
    tensor = noise(seed, shape) * HUMP
    cells = np.random.default_rng(seed).choice(shape[1] * shape[2], heads, replace=False)
    for task in (1, 4):
        tensor[task].flat[cells] *= times
    return tensor


def test_a_pair_of_tasks_that_shares_heads_is_found_and_no_other() -> None:
    """Where the plain count of heads that are top heads of many tasks finds nothing."""
    hits, others = 0, 0
    for seed in range(20):
        pairs = [f.tasks for f in found(named(sharing(seed)), "shared_heads")]
        hits += ["Task 1", "Task 4"] in pairs
        others += any(pair != ["Task 1", "Task 4"] for pair in pairs)
    assert hits >= 19
    assert others == 0


def test_tasks_that_share_layers_alone_share_no_heads() -> None:
    fired = sum(bool(found(named(noise(s, (6, 24, 16)) * HUMP**2), "shared_heads")) for s in range(60))
    assert fired <= 3  # at 1 %, four or more of 60 happen in .3 % of runs


def test_the_finding_says_how_many_heads_and_how_many_there_would_be() -> None:
    (finding,) = found(named(sharing(1, 12)), "shared_heads")
    data = finding.data or {}
    assert finding.test is not None
    assert finding.effect is not None
    assert data["shared"] == len(finding.members or [])
    assert finding.effect.estimate == pytest.approx(data["shared"] / data["expected"])
    assert (data["pairs"], finding.test.family_size) == (15, 15)
    assert finding.sentence.startswith(
        f"Task 1 and Task 4 share {data['shared']} of their {data['first']} largest heads"
    )


def test_heads_of_the_control_task_make_no_pair() -> None:
    tensor = sharing(1, 12)
    tensor[5] = tensor[1]
    assert not found(named(tensor), "shared_heads", control="Task 5")


def test_key_value_groups_count_once() -> None:
    groups = np.random.default_rng(0).permutation
    tensor = np.repeat(noise(1, (4, 24, 8)), 4, axis=2)
    scores = HeadScores.from_array(tensor, list("abcd"), model=Model(kv_groups=8))
    assert not found(scores, "shared_heads")
    cells = groups(24 * 8)[:6]
    for task in (0, 2):
        tensor.reshape(4, -1, 4)[task, cells] *= 20
    (finding,) = found(HeadScores.from_array(tensor, list("abcd"), model=Model(kv_groups=8)), "shared_heads")
    assert " largest key/value groups" in finding.sentence
    assert len({(m[: m.index("H")], int(m[m.index("H") + 1 :]) // 4) for m in map(str, finding.members or [])}) == 6


def test_an_overlap_of_one_layer_has_the_hypergeometric_probability() -> None:
    """Of 20 heads each task's three largest coincide: one of 1,140 triples, by importance and relative to the layer."""
    maps = np.linspace(0, 1, 20)[None, None].repeat(2, axis=0)
    (overlap,) = overlaps(maps, np.ones((1, 20), dtype=bool), [(0, 1)])
    assert overlap.p == pytest.approx(2 / 1140)
