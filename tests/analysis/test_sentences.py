"""Every number in every sentence is a field of its finding."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import make_scores
import numpy as np
import pytest
from layout import BACKGROUNDS
from made_maps import (
    ablated,
    correlated,
    noise,
    noisy,
    norm_and_ablation,
    probed,
    small_and_large,
    weakest_at_zero,
    with_examples,
)
from pydantic import TypeAdapter, ValidationError

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import DETECTORS, Settings
from reportgen.core.findings import Finding, from_json, to_json
from reportgen.core.scores import HeadScores, Method, Model
from reportgen.core.sentences import Prose, percent, probability, rho, significant
from reportgen.core.sentences import plain as unpadded
from reportgen.errors import InputError

NUMBER = re.compile(r"(?<![\w.])−?\d+(?:\.\d+)?(?:e−?\d+)?")
# Fixed words of the method, no results: interval level, the share of cells in a range, top shares of a layer.
FIXED = ("95 % interval", "middle 80 %", "top 10 %")
INTERVAL = re.compile(
    r"(?:95 % interval|middle 80 % of heads:|theirs from|values from) (−?[\d.e−]+)(?:–| to )(−?[\d.]+(?:e−?\d+)?)"
)
AGAINST = re.compile(r"([\d.]+) %(?: of \w+ importance there)? against ([\d.]+) %")
TOGETHER = (("low", "high"), ("least", "most"), ("inside", "outside"))  # the names of fields that are printed as two
UNSAID = (
    "condition",
    "order",
    "rest",
    "searched",
    "verdict",
)  # which of a template's sentences, the order of a figure, a kind
# Kinds whose sentences tell of all examples (ranks, counts and bounds), and those never tested but on held-out ones.
WHOLE, ALWAYS = (
    ("cross_task_head", "method_agreement", "inert_heads", "competence", "shared_heads", "depth"),
    ("concentration", "weakest_layers"),
)
TESTED_WORDS = re.compile(r"\b(clusters?|anomal(y|ies)|gradients?|specialised|higher than)\b")
CAUSAL_WORDS = re.compile(r"\b(cause[sd]?|because|pathways?|responsible|drives?|used for|specialised for)\b", re.I)


def findings_to_read() -> Iterator[Finding]:
    for seed, background in enumerate(BACKGROUNDS.values()):
        tensor = make_scores.importance(seed, background)
        yield from analyze(HeadScores.from_array(tensor, list(make_scores.REGIONS))).findings
    tensor = noise(3, (4, 12, 12))
    tensor[:, 5, 5] *= 15
    tensor[1, 2:8, 3:9] *= 6
    tensor[2, 9] *= 0.05
    yield from analyze(with_examples(tensor, accuracy=0.9, chance=0.5, miss=0.2, log_probability=-0.3)).findings
    yield from analyze(with_examples(tensor[:1] * 1e-7, n=10, accuracy=0.5, chance=0.5)).findings
    bounded = HeadScores.from_array(np.minimum(tensor, 1.5), list("abcd"))
    yield from analyze(bounded, Settings(bounds=(0, 1.0028), detectors=("out_of_range",))).findings
    far = noise(11)
    far[2, 20, 7] *= 60
    yield from analyze(HeadScores.from_array(far, [f"Task {t}" for t in range(8)])).findings
    yield from banded()
    yield from several_methods()
    yield from special()
    yield from with_enough()
    yield from localised(others=2)
    zeros = np.zeros((1, 10, 10))
    zeros[0, 2, 3], zeros[0, 7, 7] = 0.9, 0.8
    yield from analyze(HeadScores.from_array(zeros, ["Only task"])).findings
    yield from analyze(probed(), Settings(detectors=("competence",))).findings
    yield from little_told()
    for scores in weakest_at_zero():
        yield from analyze(scores, Settings(detectors=("weakest_layers",))).findings


def little_told() -> Iterator[Finding]:
    """Scores of some heads only, ranks, scores that are all equal, and scores that are nearly so."""
    tensor = noise(5, (1, 12, 12)).astype(np.float32)
    unscored = tensor[0] < np.quantile(tensor, 0.8)
    whole = HeadScores.from_array(tensor, ["a"])
    for rest in ("unknown", "below"):
        some = np.where(unscored, np.nan, tensor)
        yield from analyze(replace(whole, importance=some, unscored=unscored, rest=rest)).findings
    yield from analyze(replace(whole, method=Method("ranks", ordinal=True))).findings
    yield from analyze(HeadScores.from_array(np.full((1, 12, 12), 0.25, dtype=np.float32), ["a"])).findings
    tied = replace(whole, importance=np.where(unscored, np.nan, 3.0)[None], unscored=unscored, rest="below")
    yield from analyze(tied).findings
    close = Settings(detectors=("top_heads", "strongest_layers"))
    yield from analyze(HeadScores.from_array(np.float32(0.999) + tensor * np.float32(1e-3), ["a"]), close).findings


def banded() -> Iterator[Finding]:
    """Raised layers and heads, groups of tasks that can and cannot be compared, and a control task."""
    bands = noise(9, (8, 24, 24))
    bands[:, 10:15] *= 1.6
    bands[:, :, 6:10] *= 1.3
    bands[:2, 16:22] *= 2.5
    scores = HeadScores.from_array(bands, list("abcdefgh")).with_groups({"complex": ["a", "b"]})
    yield from analyze(scores, Settings(control="h")).findings
    bands[:, 2:20, 6:10] *= 12
    two = HeadScores.from_array(bands[:2], ["a", "b"]).with_groups({"complex": ["a"], "basic": ["b"]})
    yield from analyze(two).findings
    generic = np.repeat(bands[:1, :8, :8], 4, axis=0)
    yield from analyze(with_examples(generic, noise_scale=2.0), Settings(detectors=("reliability",))).findings
    half = np.ones((1, 16, 4))
    half[0, 5:8] = 6
    yield from analyze(HeadScores.from_array(half, ["a"])).findings


def several_methods() -> Iterator[Finding]:
    """Rankings that know more, and no more, than the activation norm; heads that are inert."""
    for informed in (0.0, 0.9):
        score, exact, norm = norm_and_ablation(informed)
        yield from analyze(
            score, Settings(detectors=("method_agreement",)), others={m.method.name: m for m in (exact, norm)}
        ).findings
    yield from analyze(ablated(small_and_large()), Settings(detectors=("inert_heads",))).findings


def special() -> Iterator[Finding]:
    """A head of one task, with and without examples, and shared heads beside a control task."""
    maps = noise(8, (6, 16, 16))
    maps[3, 7, 9] = maps[:, 2, 2] = maps[:5, 12, 1] = 60.0
    for scores in (with_examples(maps, 60), HeadScores.from_array(maps, [f"Task {t}" for t in range(6)])):
        wanted = Settings(detectors=("cross_task_head", "specialist_head"), control="Task 5")
        yield from analyze(scores, wanted).findings


def with_enough() -> Iterator[Finding]:
    """What only enough tasks, examples or heads can be tested for, and single examples beyond their unit."""
    maps = correlated(1)
    maps[3, 7, 9] = np.exp(0.6 * 8)
    wanted = Settings(detectors=("specialist_head", "out_of_range"), control="Task 5", bounds=(0.0, 80.0))
    yield from analyze(with_examples(maps, 60), wanted).findings
    bands = noise(4)
    bands[:3, 20:31] *= 2
    eight = HeadScores.from_array(bands, list("abcdefgh")).with_groups({"few": list("abc")})
    yield from analyze(eight, Settings(detectors=("layer_band_contrast",))).findings
    groups = noise(3, (8, 32, 8))
    groups[2, 10:18, 3:5] *= 8
    tied = np.repeat(groups, 4, axis=2) * np.exp(0.2 * np.random.default_rng(0).normal(size=(8, 32, 32)))
    yield from analyze(
        HeadScores.from_array(tied, list("abcdefgh")), Settings(detectors=("cluster", "tied_heads"))
    ).findings
    # what few key/value groups would show as well, a long run, and heads over a faint background
    unknown, flat = noise(2, (1, 24, 14)), np.full((1, 16, 16), 0.01)
    unknown[0, 5, 2:8] *= 30
    flat[0, 3, 4:12] = 0.2
    flat[0, 9, 5] = 1.0
    pair = np.full((1, 16, 16), 0.01)
    pair[0, [3, 9], [4, 5]] = 1.0, 0.9
    for tensor in (unknown, flat, pair):
        yield from analyze(HeadScores.from_array(tensor, ["Only task"])).findings
    yield from analyze(with_examples(pair, 40, 0.5), Settings(detectors=("anomaly",))).findings
    yield from localised(others=5)
    run = np.random.default_rng(0).uniform(0.9, 1.1, (1, 8, 24))
    run[0, 3, 4:10] *= 8
    few = Settings(detectors=("row_segment",), permutations=20)  # so that no test can pass, and the run is observed
    yield from analyze(HeadScores.from_array(run, ["a"]), few).findings


def localised(others: int) -> Iterator[Finding]:
    """A task in fewer heads than so many others."""
    few, many = np.full((8, 8), 0.1), np.ones((8, 8))
    few[2, :6] = 5.0
    maps = [few, *[many] * others]
    yield from analyze(noisy(maps, [1.0] * len(maps)), Settings(detectors=("concentration",))).findings


@cache
def read() -> list[Finding]:
    """What is read, made once by whichever process runs these tests."""
    return list(findings_to_read())


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict):
        yield from (n for v in value.values() for n in numbers(v))
    elif isinstance(value, list):
        yield from (n for v in value for n in numbers(v))


def written(n: float) -> set[str]:
    """All ways in which a sentence may print a number."""
    return {significant(n, d) for d in range(1, 10)} | {percent(n), unpadded(n), rho(n)}


def allowed(finding: Finding, plain: dict[str, Any]) -> set[str]:
    words = set()
    for n in numbers({k: v for k, v in plain.items() if k != "sentence"}):
        words |= written(n) | {probability(n).split()[-1]}
        if float(n).is_integer():
            words.add(str(int(n)))
    return words | {str(len(some or [])) for some in (finding.members, finding.cells, finding.tasks)}


def test_all_kinds_were_read() -> None:
    assert {f.kind for f in read()} == {d.name for d in DETECTORS.own()}
    assert {f.register for f in read() if f.kind == "anomaly"} >= {"observed"}


@pytest.mark.parametrize("kind", sorted(d.name for d in DETECTORS.own()))
def test_every_number_is_a_field(kind: str) -> None:
    for finding in (f for f in read() if f.kind == kind):
        plain = to_json_one(finding)
        text = finding.sentence
        named = [v for v in (finding.data or {}).values() if isinstance(v, str)]
        named += [v for of in (finding.data or {}).values() if isinstance(of, list) for v in of if isinstance(v, str)]
        named += [m["model"] for m in (finding.data or {}).get("models", [])]  # type: ignore[attr-defined]
        named += [*(finding.tasks or []), *([finding.task] if finding.task else [])]
        for name in sorted(named, key=len, reverse=True):
            text = text.replace(name, "")
        for fixed in FIXED:
            text = text.replace(fixed, "")
        for head in re.findall(r"L\d+H\d+", text):
            assert head in (finding.members or []), (head, finding.sentence)
        text = re.sub(r"L\d+H\d+", "", text)
        for number in NUMBER.findall(text.replace("–", " – ")):
            assert number in allowed(finding, plain), (number, finding.sentence)


def pairs(value: Any) -> Iterator[tuple[float, float]]:
    """The numbers of a finding that belong together, such as the ends of its intervals."""
    if isinstance(value, dict):
        for name, first in value.items():
            for one, other in TOGETHER:
                second = value.get(f"{name.removesuffix(one)}{other}") if name.endswith(one) else None
                if isinstance(first, float | int) and isinstance(second, float | int):
                    yield first, second
            yield from pairs(first)


def test_every_interval_and_comparison_prints_two_fields_that_belong_together_in_their_order() -> None:
    met = set()
    for finding in read():
        held = [(written(first), written(second)) for first, second in pairs(to_json_one(finding))]
        for first, second in INTERVAL.findall(finding.sentence) + AGAINST.findall(finding.sentence):
            assert any(first in one and second in other for one, other in held), (first, second, finding.sentence)
            met.add(finding.kind)
    assert met >= {
        "anomaly",
        "cluster",
        "competence",
        "concentration",
        "layer_band_contrast",
        "out_of_range",
        "reliability",
        "specialist_head",
    }


def test_a_sentence_on_one_task_begins_with_it_and_says_every_name_and_word_that_it_holds() -> None:
    for finding in read():
        assert finding.sentence.startswith(finding.task or ""), finding.sentence
        data = {k: v for k, v in (finding.data or {}).items() if k not in UNSAID}
        shown = {k: v[: data.get("shown", len(v))] if isinstance(v, list) else [v] for k, v in data.items()}
        for word in (w for words in shown.values() for w in words if isinstance(w, str)):
            assert word.replace("_", " ").lower() in finding.sentence.lower(), (word, finding.sentence)


def to_json_one(finding: Finding) -> dict[str, Any]:
    from reportgen.core.findings import Findings

    result: dict[str, Any] = to_json(Findings({}, 0.05, 0, [], [finding]))["findings"][0]
    return result


def test_a_wrong_number_would_be_noticed() -> None:
    finding = next(f for f in read() if f.kind == "cluster")
    assert "0.00123456" not in allowed(finding, to_json_one(finding))
    assert not {"17.3", "0.777"} & allowed(finding, to_json_one(finding))


def test_registers_keep_their_words() -> None:
    for finding in read():
        if finding.register == "observed" and finding.kind != "absence":
            text = re.sub("gate gradient", "", finding.sentence, flags=re.I)  # the name of a method
            assert not TESTED_WORDS.search(text), finding.sentence
        assert not CAUSAL_WORDS.search(finding.sentence), finding.sentence


def test_a_tested_sentence_tells_that_its_values_are_held_out() -> None:
    """A reader who takes them from scores.csv, which holds all examples, gets others."""
    told = set()
    for finding in (f for f in read() if f.register == "tested" and f.kind not in WHOLE):
        others = [c for c in finding.caveats if c != "in-sample"]
        for split, caveats in (("held-out", others), ("in-sample", [*others, "in-sample"])):
            value = finding.value and replace(finding.value, split=split)
            said = Prose().sentence(replace(finding, caveats=caveats, value=value))
            if split == "held-out" or finding.kind not in ALWAYS:
                assert ("held-out" in said) == (split == "held-out"), said
        told.add(finding.kind)
    assert told >= {
        "layer_band",
        "layer_band_contrast",
        "head_band",
        "layer_gradient",
        "diagonal_gradient",
        "cluster",
        "row_segment",
        "anomaly",
        "specialist_head",
        *ALWAYS,
    }


def test_sentences_read_like_sentences() -> None:
    for finding in read():
        text = finding.sentence
        assert text.endswith("."), text
        assert "  " not in text, text
        assert "None" not in text, text
        assert not re.search(r"\s[,.;:)]|\(\s|[,;]{2}", text), text
        assert "q = 0)" not in text, text


def test_a_region_beside_a_brighter_one_is_not_said_to_have_the_larger_mean() -> None:
    tensor = noise(3, (2, 16, 16))
    tensor[0, 2:8, 2:8] *= 4
    known = HeadScores.from_array(tensor, ["a", "b"], model=Model(kv_groups=16))
    cluster = analyze(known, Settings(detectors=("cluster",))).findings[0]
    assert cluster.effect is not None
    assert "raised in rank" not in cluster.sentence
    faint = replace(cluster, effect=replace(cluster.effect, estimate=0.79))
    words = ", but 0.79 × the other heads of these layers on average: raised in rank, not in the mean (q"
    assert words in Prose().sentence(faint)


@pytest.mark.parametrize(("second", "why"), [("{{ nobody }}", "'nobody' is undefined"), ("{% if %}", "Expected an ex")])
def test_a_sentence_template_that_fails_is_told_with_file_line_and_name(tmp_path: Path, second: str, why: str) -> None:
    finding = next(f for f in read() if f.kind == "cluster")
    path = tmp_path / "observations" / "cluster.j2"
    path.parent.mkdir()
    path.write_text(f"{{{{ f.task }}}}\n{second}\n")
    with pytest.raises(InputError, match=re.escape(f"{path}, line 2: the template fails ({why}")):
        Prose(tmp_path).sentence(finding)


def test_a_name_does_not_turn_what_is_written_after_it() -> None:
    finding = next(f for f in read() if f.kind == "cluster")
    said = Prose().sentence(replace(finding, task="\u202eשלום\u2067"))
    assert said == Prose().sentence(replace(finding, task="שלום"))


def test_findings_survive_their_file() -> None:
    from reportgen.core.findings import Findings

    findings = Findings({"scores.safetensors": "0" * 64}, 0.05, 0, [], read())
    plain = to_json(findings)
    assert from_json(plain) == findings
    assert (
        list(plain["findings"][0])
        == (
            "id kind method block register rule priority data task tasks layers heads cells members value test "
            "effect n_examples caveats sentence"
        ).split()
    )


def test_findings_fit_the_published_schema() -> None:
    import jsonschema

    from reportgen.analysis.analyze import findings_schema
    from reportgen.core.findings import Findings

    jsonschema.validate(to_json(Findings({}, 0.05, 0, [], read())), findings_schema())


def test_every_form_of_data_is_described_and_was_read() -> None:
    for detector in DETECTORS.own():
        data = [f.data for f in read() if f.kind == detector.name]
        assert detector.data is not None or not any(data), detector.name
        fits = [[fit(form, each) for form in get_args(detector.data) or [detector.data]] for each in data]
        assert all(sum(each) == 1 for each in fits), detector.name
        assert all(map(any, zip(*fits, strict=True))), detector.name


def fit(form: Any, data: dict[str, Any] | None) -> bool:
    try:
        TypeAdapter(form).validate_python(data, strict=True)
    except ValidationError:
        return False
    return True


def test_the_schema_notices_what_a_kind_does_not_hold() -> None:
    import jsonschema

    from reportgen.analysis.analyze import findings_schema
    from reportgen.core.findings import Findings

    validator = jsonschema.Draft202012Validator(findings_schema())
    for kind in [d.name for d in DETECTORS.own() if d.data is not None]:
        finding = next(f for f in read() if f.kind == kind)
        strange = replace(finding, data={**(finding.data or {}), "surplus": 1})
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(to_json(Findings({}, 0.05, 0, [], [strange])))
