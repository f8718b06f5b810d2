"""Every method on models whose causal heads are known, because their weights are written by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from designed_models import (
    Does,
    copier,
    copying_rows,
    dead,
    designed,
    induction,
    induction_pair,
    induction_rows,
    previous_token,
    unheard,
)
from tiny_models import examples, setting

from reportgen.scoring.data.batches import Encoded, collate
from reportgen.scoring.data.metrics import baseline
from reportgen.scoring.methods.common.method import METHODS, ScoringMethod, TaskExamples
from reportgen.scoring.model.loaded import LoadedModel

# What a head does to the answer: these find the pair, and give nothing to the others
EFFECTS = [
    "gate_gradient",
    "zero_ablation",
    "mean_ablation",
    "resample_ablation",
    "shapley",
    "integrated_gradients",
    "activation_patching",
    "attribution_patching",
    "eap_ig",
]
# What else is scored, each with a test of its own below
OTHERS = ["activation_norm", "direct_logit_attribution", "previous_token", "induction", "retrieval", "probe"]
BY_NAME = {method.name: method for method in METHODS.own()}
PAIR, COPIER = [(0, 1), (1, 2)], [(1, 0)]
DEAD = {"pair": [(0, 2), (1, 0), (1, 3)], "copier": [(0, 1), (0, 3), (1, 2)]}


@pytest.fixture(scope="module", params=["pair", "copier"])
def known(request: pytest.FixtureRequest) -> tuple[str, LoadedModel, list[Encoded], list[tuple[int, int]]]:
    if request.param == "pair":
        model = induction_pair()
        return "pair", model, induction_rows(model), PAIR
    model = copier()
    return "copier", model, copying_rows(model), COPIER


def scored(name: str, model: LoadedModel, some: list[Encoded], **given: Any) -> np.ndarray:
    """The mean over examples of the signed scores."""
    method: ScoringMethod = BY_NAME[name]
    parameters = {**method.parameters().model_dump(), **given}
    halves = [collate(some[: len(some) // 2]), collate(some[len(some) // 2 :])]
    reference = None if method.prepare is None else method.prepare(setting(model, **parameters), halves)
    assert method.score is not None
    ready = setting(model, reference=reference, **parameters)
    if method.check is not None:
        method.check(ready)
    found: np.ndarray = method.score(ready, collate(some)).values.mean(axis=0)
    return found


def ranked(found: np.ndarray) -> list[tuple[int, int]]:
    order = np.argsort(-np.abs(found), axis=None)
    return [(int(i) // found.shape[1], int(i) % found.shape[1]) for i in order]


def test_every_method_has_its_truth_here() -> None:
    assert sorted(EFFECTS + OTHERS) == sorted(BY_NAME)


def test_the_models_do_their_tasks(known: Any) -> None:
    name, model, some, _ = known
    batch = collate(some)
    plain = baseline(model.answer_logits(batch), batch)
    assert plain.correct.all()
    assert (plain.log_probability > np.log(0.5)).all()
    corrupted = model.answer_logits(batch.corrupted())
    assert not baseline(corrupted, batch).correct.any(), "nothing in the corrupted prompt tells the answer"
    assert {model.heads.sites[i].heads for i in range(2)} == {4}, name


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_are_those_of_the_causal_heads_alone(name: str, known: Any) -> None:
    which, model, some, causal = known
    found = scored(name, model, some)
    assert set(ranked(found)[: len(causal)]) == set(causal)
    assert all(found[head] > 0.1 for head in causal), found
    rest = [abs(found[head]) for head in np.ndindex(2, 4) if head not in causal]
    assert max(rest) < 0.05 * min(found[head] for head in causal), found
    np.testing.assert_allclose([found[head] for head in DEAD[which]], 0, atol=1e-6)


@pytest.mark.parametrize("given", [{"direction": "denoising"}, {"direction": "noising"}])
def test_patching_the_pair_either_way(given: dict[str, str]) -> None:
    model = induction_pair()
    found = scored("activation_patching", model, induction_rows(model), **given)
    assert set(ranked(found)[:2]) == set(PAIR)
    assert min(found[head] for head in PAIR) > 1, "either alone breaks the answer, and brings it back"


def test_queries_and_keys_carry_the_pairs_effect() -> None:
    model = induction_pair()
    found = scored("attribution_patching", model, induction_rows(model), qk_correction=True)
    assert found[PAIR[1]] > 1, "the induction head's keys are what the corrupted prompt changes"
    np.testing.assert_allclose([found[head] for head in DEAD["pair"]], 0, atol=1e-6)


def test_the_direct_path_is_the_last_heads_alone() -> None:
    model = induction_pair()
    found = scored("direct_logit_attribution", model, induction_rows(model))
    assert ranked(found)[0] == (1, 2)
    assert found[1, 2] > 1
    assert abs(found[0, 1]) < 0.02 * found[1, 2], "what other heads read and pass on is not direct"


def test_patterns_tell_where_heads_look() -> None:
    model = induction_pair()
    some = induction_rows(model)
    before, behind = scored("previous_token", model, some), scored("induction", model, some, tokens=8)
    assert before[0, 1] > 0.9
    assert behind[1, 2] > 0.8
    assert np.delete(before.ravel(), 1).max() < 0.4
    assert np.delete(behind.ravel(), 6).max() < 0.3
    in_prompts = scored("induction", model, some, source="prompt")
    assert ranked(in_prompts)[0] == (1, 2)


def test_heads_that_look_at_the_answer_retrieve_it(known: Any) -> None:
    which, model, some, causal = known
    found = scored("retrieval", model, some)
    assert found[causal[-1]] == 1
    others = [found[head] for head in np.ndindex(2, 4) if head != causal[-1]]
    assert max(others) < 0.5, which


def test_the_norm_sees_all_that_put_out_something(known: Any) -> None:
    which, model, some, _ = known
    found = scored("activation_norm", model, some)
    np.testing.assert_allclose([found[head] for head in DEAD[which]], 0, atol=1e-12)
    assert all(found[head] > 0.1 for head in np.ndindex(2, 4) if head not in DEAD[which]), "heard or not"


def test_a_probe_reads_the_head_that_holds_the_label() -> None:
    model = copier()
    random, tasks = np.random.default_rng(2), []
    words = "one two three four five six seven".split()
    for name, (first, last) in {"red": ("red", "blue"), "blue": ("blue", "red")}.items():
        rows = []
        for i in range(30):  # both words stand in every text; place 2, which one head copies, tells the label
            fill = list(random.choice(words, 4, replace=False))
            rows.append(
                {
                    "task": name,
                    "id": f"{name}{i}",
                    "answer": "d",
                    "prompt": " ".join([fill[0], first, *fill[1:3], last, fill[3]]),
                }
            )
        tasks.append(TaskExamples(name, examples(model, rows), [list(range(30))]))
    method = BY_NAME["probe"]
    assert method.together is not None
    given = {**method.parameters().model_dump(), "folds": 3, "layer_mean": False, "epochs": 60}
    made = method.together(setting(model, **given), tasks, lambda _: None)
    importance = np.mean([np.abs(made.values[name]).mean(axis=0) for name in ("red", "blue")], axis=0)
    assert made.overall["accuracy"]["probe"] > 0.9
    assert ranked(importance)[0] == (1, 0)
    assert made.overall["accuracy"]["bag of words"] < 0.7, "the words are the same"


def test_a_head_told_nothing_leaves_the_model_as_it_was() -> None:
    """The dead heads of the tests above are dead: with their writing taken away too, not a bit changes."""
    zero = np.zeros((112, 28))
    gone = Does(zero, zero, zero, zero.T)
    one = induction_pair()
    other = designed([[unheard(), previous_token(), gone, unheard()], [dead(), unheard(), induction(), gone]])
    batch = collate(induction_rows(one))
    assert torch.equal(one.answer_logits(batch), other.answer_logits(batch))
