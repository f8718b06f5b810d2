"""Rankings of Cognitive Mirrors: what is read, and what is said of those that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from files import load, refusal, written

RNG = np.random.default_rng(0)


def ranking(scores: np.ndarray) -> list[list[float]]:
    """A (layer, head) map as [[flat index, score], …], the largest |score| first."""
    flat = [[i, float(s)] for i, s in enumerate(scores.ravel())]
    return sorted(flat, key=lambda pair: -abs(pair[1]))


def test_cognitive_mirrors(tmp_path: Path) -> None:
    maps = {"Knowledge Recall": RNG.normal(size=(3, 4)), 'Math "hard"': RNG.normal(size=(3, 4))}
    text = json.dumps({name: ranking(scores) for name, scores in maps.items()})
    path = written(tmp_path, b"\xef\xbb\xbf" + text.replace(", [", ",\r\n[").encode(), "layer_True_position_topk.json")
    scores = load(path, layers=3, heads=4, kv_groups=2)
    assert scores.task_names == tuple(maps)
    np.testing.assert_array_equal(scores.importance, np.stack(list(maps.values())).astype(np.float32))
    assert scores.method.signed
    assert scores.method.name == "cognitive mirrors probe"
    assert scores.method.unit == "probe gradient × feature"
    assert "2512.10978" in scores.method.references[0]
    assert (scores.model.kv_groups, scores.reduction, scores.examples) == (2, "mean", (None, None))


def test_an_unsorted_ranking_holds_the_same(tmp_path: Path) -> None:
    values = RNG.normal(size=(2, 2))
    path = written(tmp_path, json.dumps({"a": ranking(values)[::-1]}), "a.json")
    np.testing.assert_array_equal(load(path, layers=2, heads=2).importance[0], values.astype(np.float32))


@pytest.mark.parametrize("given", [{}, {"layers": 2}, {"heads": 2}])
def test_cognitive_mirrors_does_not_guess_the_model(tmp_path: Path, given: dict[str, int]) -> None:
    path = written(tmp_path, json.dumps({"a": ranking(np.ones((2, 2)))}), "a.json")
    assert refusal(path, **given) == (
        "a.json: the file does not store the model's size, only flat indices up to 3. "
        "Give [scores] layers and heads; layers × heads is 4 if the rankings are whole."
    )


LAYOUT = "Give {function: [[flat index, score], …], …}."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"a": [[0, 1.0], [1, 2.0], [3, 1.0]]}',
            "a.json, a: 3 of 2 × 2 heads are listed, and the scores of the others are unknown. "
            "Give the whole ranking; correct [scores] layers and heads if it is whole.",
        ),
        (
            '{"a": [[0, 1], [1, 2], [2, 1], [4, 1]]}',
            "a.json, a: flat index 4 is beyond 2 layers × 2 heads. Correct [scores] layers and heads.",
        ),
        (
            '{"a": [[0, 1], [1' + "0" * 400 + ", 1]]}",
            f"a.json, a: flat index 1{'0' * 36}... is beyond 2 layers × 2 heads. Correct [scores] layers and heads.",
        ),
        ('{"a": [[0, 1], [0, 1]]}', "a.json, a, entry 1: head 0 stands twice. List every head once."),
        (
            '{"a": [[0, NaN]]}',
            "a.json, a, entry 0: nan is no finite number (of 32 bits). Give every head a finite score.",
        ),
        (
            '{"a": [[0, -Infinity]]}',
            "a.json, a, entry 0: -inf is no finite number (of 32 bits). Give every head a finite score.",
        ),
        (
            '{"a": [[0, 1e39]]}',
            "a.json, a, entry 0: 1e+39 is no finite number (of 32 bits). Give every head a finite score.",
        ),
        (
            '{"a": [[0, 1' + "0" * 400 + "]]}",
            f"a.json, a, entry 0: 1{'0' * 36}... is no finite number (of 32 bits). Give every head a finite score.",
        ),
        ('{"a": [[0, 1, 2]]}', f"a.json, a, entry 0: [0, 1, 2] is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[0]]}', f"a.json, a, entry 0: [0] is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[-1, 2]]}', f"a.json, a, entry 0: [-1, 2] is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[0.0, 2]]}', f"a.json, a, entry 0: [0.0, 2] is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[true, 2]]}', f"a.json, a, entry 0: [True, 2] is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[0, true]]}', f"a.json, a, entry 0: [0, True] is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[0, 1], 7]}', f"a.json, a, entry 1: 7 is no pair of flat index and score. {LAYOUT}"),
        ('{"a": [[0, 1]], "b": []}', f"a.json, b: this is no list of heads. {LAYOUT}"),
        ('{"a": [[0, 1]], "b": 3}', f"a.json, b: this is no list of heads. {LAYOUT}"),
        ('{"a": [[0, 1]], "a": [[0, 1]]}', "a.json: key 'a' stands twice. Keep one of them."),
        (
            '{"a": [[0, 1]',
            "a.json: this is not JSON (Expecting ',' delimiter: line 1 column 14 (char 13)). "
            "Mend or make the file again.",
        ),
        (
            '{"": [[0, 1], [1, 1], [2, 1], [3, 1]]}',
            "importance: task name '' is empty or not unique. Give each task its own name.",
        ),
    ],
)
def test_a_ranking_that_does_not_fit(tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path, content, "a.json")
    assert refusal(path, format="cognitive-mirrors", layers=2, heads=2) == message


def test_a_huge_model_claims_no_memory(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": [[0, 1]]}', "a.json")
    assert refusal(path, layers=10**9, heads=10**9).startswith("a.json, a: 1 of 1000000000 × 1000000000 heads")


def test_a_format_tells_whether_its_scores_are_signed(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"a": ranking(np.ones((2, 2)))}), "a.json")
    assert refusal(path, layers=2, heads=2, signed=False) == (
        "[scores] signed = false: this format's scores are signed. Remove the key."
    )
    renamed = load(path, layers=2, heads=2, method="ours", unit="logit", signed=True).method
    assert (renamed.name, renamed.unit) == ("ours", "logit")
