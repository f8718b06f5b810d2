"""Sentences on many random tensors: every number, range, head and task in them is the finding's own."""

import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from layout import BACKGROUNDS
from made_maps import named, with_examples
from test_sentences import FIXED, NUMBER, allowed, to_json_one

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core.findings import Finding
from reportgen.core.scores import HeadScores, Model

NAMES = ("Recall of 1999", "Logic", "3-digit sums", "Syntax, nested", "Inference")
FEW = Settings(permutations=500)
RANGE = re.compile(r"\b(layer|head)s? (\d+)(?:–(\d+))?")


def tensors() -> Iterator[HeadScores]:
    """Noise of several kinds and shapes with regions, rows, heads, slopes, zeros, ties and absent heads in it."""
    for seed in range(16):
        rng = np.random.default_rng(seed)
        tasks, layers, heads = int(rng.integers(1, 6)), int(rng.integers(3, 26)), int(rng.choice([1, 4, 8, 12, 24]))
        tensor = np.exp(rng.choice([0.3, 0.6, 1.5]) * rng.normal(size=(tasks, layers, heads))) * 10.0 ** rng.integers(
            -6, 3
        )
        t, top, left = int(rng.integers(tasks)), int(rng.integers(layers)), int(rng.integers(heads))
        tensor[t, top : top + 6, left : left + 5] *= rng.choice([1, 8, 30])
        tensor[:, int(rng.integers(layers)), int(rng.integers(heads))] *= 40
        tensor[int(rng.integers(tasks))] *= np.exp(rng.normal() * np.linspace(0, 2, layers))[:, None]
        if seed % 4 == 1:
            tensor *= rng.random(tensor.shape) < 0.5
        if seed % 4 == 2:
            tensor = np.array([float(f"{x:.1g}") for x in tensor.ravel()]).reshape(tensor.shape)
        if seed % 4 == 3 and layers > 3:
            tensor[:, 1, heads // 2 :] = np.nan
        if seed % 3 == 0 and layers * heads < 300:
            accuracy = float(rng.integers(0, 41)) / 40
            yield with_examples(np.nan_to_num(tensor, nan=1.0), seed=seed, accuracy=accuracy, chance=0.25)
        else:
            groups = None if heads % 4 else [None, heads // 4][seed % 2]
            yield HeadScores.from_array(tensor, list(NAMES[:tasks]), model=Model(kv_groups=groups))


@cache
def read() -> list[tuple[tuple[str, ...], Finding]]:
    """Tasks' names and a finding on them, made once by whichever process runs these tests."""
    return [(scores.task_names, f) for scores in tensors() for f in analyze(scores, FEW).findings]


KINDS = (
    "absence",
    "anomaly",
    "cluster",
    "competence",
    "concentration",
    "cross_task_head",
    "depth",
    "layer_band",
    "layer_gradient",
    "reliability",
    "row_segment",
    "shared_heads",
    "sparse_layers",
    "specialist_head",
    "strongest_layers",
    "task_similarity",
    "top_heads",
    "weakest_layers",
)


def without_names(finding: Finding) -> str:
    """The sentence without the finding's own names of tasks, and fixed words of the method."""
    text = finding.sentence
    strings = [v for v in (finding.data or {}).values() if isinstance(v, str)]
    strings += [v for of in (finding.data or {}).values() if isinstance(of, list) for v in of if isinstance(v, str)]
    for name in sorted({*strings, *(finding.tasks or []), finding.task or ""} - {""}, key=len, reverse=True):
        text = text.replace(name, "…")
    for fixed in FIXED:
        text = text.replace(fixed, "")
    return text


def test_most_kinds_are_met() -> None:
    met = {f.kind for _, f in read()}
    assert {"cluster", "row_segment", "anomaly", "cross_task_head", "sparse_layers", "absence", "concentration"} <= met
    assert met == {*KINDS}
    assert len(read()) > 150


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_and_head_is_the_findings(kind: str) -> None:
    for _, finding in (each for each in read() if each[1].kind == kind):
        text = without_names(finding)
        for head in re.findall(r"L\d+H\d+", text):
            assert head in (finding.members or []), (head, finding.sentence)
        words = allowed(finding, to_json_one(finding))
        for number in NUMBER.findall(re.sub(r"L\d+H\d+", "", text).replace("–", " – ")):
            assert number in words, (number, finding.sentence)


@pytest.mark.parametrize("kind", KINDS)
def test_every_range_of_layers_or_heads_is_the_findings(kind: str) -> None:
    for _, finding in (each for each in read() if each[1].kind == kind):
        own = {"layer": {finding.layers}, "head": {finding.heads}}
        told = (finding.data or {}).get("range")
        own["layer"] |= {tuple(told)} if told else set()
        own["layer"] |= {(m, m) for m in finding.members or () if isinstance(m, int)}
        for noun, first, last in RANGE.findall(without_names(finding)):
            assert (int(first), int(last or first)) in own[noun], finding.sentence


def test_no_task_is_named_that_the_finding_is_not_about() -> None:
    for names, finding in read():
        rest = without_names(finding)
        for name in names:
            assert name not in rest, finding.sentence


def test_a_range_of_one_is_written_in_the_singular() -> None:
    for _, finding in read():
        for noun, first, last in re.findall(r"\b(layers|heads) (\d+)–(\d+)", without_names(finding)):
            assert int(first) < int(last), (noun, finding.sentence)
        assert not re.search(r"(?<![\d.,–])1 (heads|layers|tasks|examples|rows)\b", finding.sentence), finding.sentence
        assert not re.search(r"\b(layer|head) \d+–\d+", finding.sentence), finding.sentence


@pytest.mark.slow
def test_noise_carries_few_observations() -> None:
    """Of pure noise of 8 tasks × 32 × 32, no more than one report in two says anything of single heads or layers."""
    talked = ("anomaly", "specialist_head", "row_segment", "cluster", "scattered_heads", "sparse_layers", "layer_band")
    wanted = Settings(detectors=(*talked, "weakest_layers"))
    for background in ("lognormal 0.6", "Pareto 3"):
        rng = np.random.default_rng(8)
        said = [
            len([f for f in analyze(named(BACKGROUNDS[background](rng, (8, 32, 32))), wanted).findings if not f.test])
            for _ in range(4)
        ]
        assert sum(said) <= 4, (background, said)
