"""Published formats: what a file in each layout is read as, and what is said of one that does not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from files import refusal, written

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores
from reportgen.storage.scores_file import read_scores, scores_bytes

RNG = np.random.default_rng(0)


def load(path: Path, **section: object) -> HeadScores:
    """The scores, once through reportgen's own file, so that all that an importer says is known to travel."""
    scores = load_scores(path, ScoresSection.model_validate({"path": path, **section}))
    (again,), _ = read_scores(written(path.parent, scores_bytes(scores), "again.safetensors"))
    np.testing.assert_array_equal(again.importance, scores.importance)
    assert (again.method, again.model, again.tasks, again.reduction) == (
        scores.method,
        scores.model,
        scores.tasks,
        scores.reduction,
    )
    return scores


# Cognitive Mirrors


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
    assert refusal(written(tmp_path, content, "a.json"), layers=2, heads=2) == message


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


# DuoAttention


def tsv(gates: np.ndarray) -> str:
    """The layout of numpy.savetxt with tabs: a row per layer, 18 digits."""
    return "".join("\t".join(f"{g:.18e}" for g in row) + "\n" for row in gates)


def test_duo_attention_keeps_key_value_heads(tmp_path: Path) -> None:
    gates = RNG.uniform(0.001, 0.999, size=(4, 8)).astype(np.float32)
    raw = gates.copy()
    raw[0, 0], raw[1, 1] = -5.7e-5, 1.004  # as the last step of training leaves them
    gates[0, 0], gates[1, 1] = 0, 1
    path = written(tmp_path, b"\xef\xbb\xbf" + tsv(raw).replace("\n", "\r\n").encode(), "full_attention_heads.tsv")
    for given in ({}, {"heads": 8, "layers": 4}, {"kv_groups": 8}):
        scores = load(path, **given)
        np.testing.assert_array_equal(scores.importance, gates[None])
        assert scores.model.kv_groups == 8
        said = "Heads are key/value heads, not query heads: L6H3 is key/value head 3 of layer 6."
        assert scores.model.notes == [said]
        assert said in scores.method.meaning
        assert scores.method.unit == "key/value-head gate"
        assert not scores.method.signed


def test_duo_attention_is_never_expanded_to_query_heads(tmp_path: Path) -> None:
    path = written(tmp_path, tsv(np.full((2, 8), 0.5)), "full_attention_heads.tsv")
    assert refusal(path, heads=32) == (
        "[scores] heads: the file holds 8 key/value heads per layer, not 32 query heads. "
        "A gate is never copied to the query heads that share it; remove the key."
    )
    assert refusal(path, kv_groups=4) == (
        "[scores] kv_groups: 4 key/value heads expected, but the file holds 8. "
        "Correct the number in study.toml, or remove the key."
    )
    assert refusal(path, layers=3) == (
        "[scores] layers: 3 layers expected, but the file holds 2. Correct the number in study.toml, or remove the key."
    )
    assert refusal(path, signed=True) == (
        "[scores] signed = true: this format's scores are not signed. Remove the key."
    )


GATES = "Separate gates by tabs, a row for each layer; DuoAttention's lie between 0 and 1."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "full_attention_heads.tsv: the file is empty. Give a row of gates for each layer."),
        ("\n\n", "full_attention_heads.tsv: the file is empty. Give a row of gates for each layer."),
        (
            "1\t0.5\n1\n",
            "full_attention_heads.tsv, row 2: 1 gates, but the first row has 2. "
            "Give one gate for each key/value head in every row.",
        ),
        ("1\t0.5\n\n1\t1\n", f"full_attention_heads.tsv, row 2, column 1: '' is no gate. {GATES}"),
        ("1\tx\n", f"full_attention_heads.tsv, row 1, column 2: 'x' is no gate. {GATES}"),
        ("1 0.5\n", f"full_attention_heads.tsv, row 1, column 1: '1 0.5' is no gate. {GATES}"),
        ("1\tnan\n", f"full_attention_heads.tsv, row 1, column 2: 'nan' is no gate. {GATES}"),
        ("1\tinf\n", f"full_attention_heads.tsv, row 1, column 2: 'inf' is no gate. {GATES}"),
        ("1\t0_1\n", f"full_attention_heads.tsv, row 1, column 2: '0_1' is no gate. {GATES}"),
        ("1\t1.2\n", f"full_attention_heads.tsv, row 1, column 2: '1.2' is no gate. {GATES}"),
        ("1\t1e400\n", f"full_attention_heads.tsv, row 1, column 2: '1e400' is no gate. {GATES}"),
        ("9" * 400, f"full_attention_heads.tsv, row 1, column 1: '{'9' * 37}...' is no gate. {GATES}"),
    ],
)
def test_gates_that_do_not_fit(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(written(tmp_path, content, "full_attention_heads.tsv")) == message


def test_gates_that_are_no_text(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, b"\xff\xfe\x00", "full_attention_heads.tsv"), format="duo-attention")
    assert said.startswith("full_attention_heads.tsv: this table cannot be read (")
    assert said.endswith("Give a text file of numbers.")


# The bertology example of transformers


def test_bertology(tmp_path: Path) -> None:
    values = RNG.uniform(size=(12, 12)).astype(np.float32)
    np.save(tmp_path / "head_importance.npy", values)
    np.save(tmp_path / "mrpc_head_importance.npy", values)
    scores = load(tmp_path / "head_importance.npy", layers=12, heads=12)
    np.testing.assert_array_equal(scores.importance, values[None])
    assert scores.task_names == ("Task 0",)
    assert load(tmp_path / "mrpc_head_importance.npy").task_names == ("mrpc",)
    assert "only then takes the absolute value" in scores.method.meaning
    assert "the result depends on the batch size" in scores.method.meaning
    assert not scores.method.signed


def test_bertology_of_several_tasks(tmp_path: Path) -> None:
    values = RNG.uniform(size=(3, 4, 5)).astype(np.float32)
    np.save(tmp_path / "head_importance.npy", values)
    scores = load(tmp_path / "head_importance.npy", axis="task")
    np.testing.assert_array_equal(scores.importance, values)
    assert scores.task_names == ("Task 0", "Task 1", "Task 2")
    assert refusal(tmp_path / "head_importance.npy") == (
        "head_importance.npy: the file does not tell what the first axis of (3, 4, 5) is. "
        'Give [scores] axis = "example" or "task".'
    )


# Function Vectors


def test_function_vectors(tmp_path: Path) -> None:
    effects = torch.from_numpy(RNG.normal(scale=0.01, size=(25, 4, 6)).astype(np.float32))
    torch.save(effects, tmp_path / "antonym_indirect_effect.pt")
    scores = load(tmp_path / "antonym_indirect_effect.pt")
    assert scores.task_names == ("antonym",)
    np.testing.assert_allclose(scores.importance[0], effects.double().mean(0), rtol=1e-5, atol=1e-9)
    examples = scores.examples[0]
    assert examples is not None
    np.testing.assert_array_equal(examples.values, effects)
    assert (examples.ids[24], examples.ordered, scores.reduction) == ("trial 24", False, "mean")
    assert (scores.method.name, scores.method.unit, scores.method.signed) == ("indirect effect", "probability", True)
    assert scores.tasks[0].n == 25


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        (
            torch.ones(5, 4, 6, 10),
            "a_indirect_effect.pt: a tensor of shape (5, 4, 6, 10) is not (trial, layer, head). "
            "Save the effects of one token position, such as effects[..., -1].",
        ),
        (
            torch.ones(4, 6),
            "a_indirect_effect.pt: a tensor of shape (4, 6) is not (trial, layer, head). "
            "Save the effects of all trials, as compute_indirect_effect.py does.",
        ),
        (
            torch.full((3, 2, 2), float("inf")),
            "a_indirect_effect.pt: inf at (0, 0, 0) is no finite number (of 32 bits). "
            "Give finite numbers, or nan for a head the model lacks.",
        ),
        (
            torch.tensor([[[float("nan"), 1.0]], [[1.0, 1.0]]]),
            "task a, example trial 0, L0H0: importance is nan, but not in every example. "
            "Give a finite number in every example.",
        ),
        (
            {"a": torch.ones(3, 2, 2)},
            "a_indirect_effect.pt: this is no tensor, but a dict. Save tensors and nothing beside them.",
        ),
    ],
)
def test_effects_that_do_not_fit(tmp_path: Path, effects: object, message: str) -> None:
    torch.save(effects, tmp_path / "a_indirect_effect.pt")
    assert refusal(tmp_path / "a_indirect_effect.pt") == message


def test_a_head_the_model_lacks_is_nan_in_all_trials(tmp_path: Path) -> None:
    effects = torch.ones(4, 2, 3)
    effects[:, 1, 2] = float("nan")
    torch.save(effects, tmp_path / "a_indirect_effect.pt")
    assert load(tmp_path / "a_indirect_effect.pt").present.tolist() == [[True, True, True], [True, True, False]]
