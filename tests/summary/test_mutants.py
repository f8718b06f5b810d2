"""What is altered is noticed: a claim whose support changes, and a template that prints another number."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_findings import random_findings, trials_of
from reading import unheld

from reportgen.core import sentences
from reportgen.core.claims import Claim
from reportgen.core.findings import Finding
from reportgen.core.sentences import filling, template_folder
from reportgen.summary.limits import shortened
from reportgen.summary.summarize import summarize, tasks_of

SEEDS = range(0, 60, 4)
PRINTED = re.compile(r"\{\{ v\.(\w+)\|(?:rounded|whole|share|rho|spelled|plain)")


def altered(value: Any) -> Any:
    """Plain data with other numbers: half as large again, counts one more, and what was so is not."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.5
    if isinstance(value, dict):
        return {key: altered(each) for key, each in value.items()}
    return [altered(each) for each in value] if isinstance(value, list | tuple) else value


def changed(finding: Finding) -> Finding:
    effect = finding.effect and replace(finding.effect, estimate=finding.effect.estimate * 1.5)
    value = finding.value and replace(finding.value, estimate=finding.value.estimate * 1.5)
    test = finding.test and replace(finding.test, q=finding.test.q / 3)
    layers = finding.layers and (finding.layers[0], finding.layers[1] + 1)
    members = [m + 1 if isinstance(m, int) else f"{m}9" for m in finding.members or []] or None
    return replace(
        finding, effect=effect, value=value, test=test, layers=layers, members=members, data=altered(finding.data)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_claim_whose_support_is_altered_or_gone_changes_or_disappears(seed: int) -> None:
    findings = random_findings(seed)
    claims = summarize(trials_of(findings)).claims
    for claim in claims:
        if claim.id.endswith(("/nothing", "/groups", "/unknown")):
            continue  # they say that something is not there
        others = [f for f in findings if f.id not in claim.support]
        gone = summarize(trials_of(others)).find(claim.id)
        assert gone is None or (gone.support, gone.values) != (claim.support, claim.values), claim.id
        # made findings may stand twice on a task: those of like kind are altered too
        kinds = {f.kind for f in findings if f.id in claim.support}
        other = summarize(trials_of([changed(f) if f.kind in kinds else f for f in findings])).find(claim.id)
        assert (
            other is None
            or (other.headline, other.body) != (claim.headline, claim.body)
            or (other.values != claim.values)
        ), claim.id


def mutants(text: str) -> list[tuple[str, str]]:
    """The template with one of its numbers printed 17 too large, for each of them."""
    made = []
    for found in PRINTED.finditer(text):
        other = found[0].replace(f"v.{found[1]}|", f"(v.{found[1]} + 17)|")
        made.append((found[0], text[: found.start()] + other + text[found.end() :]))
    return made


def _of(topic: str, findings: list[Finding]) -> list[Claim]:
    """The claims that a template words, of which remarks bound every topic's, with room or without."""
    claims = summarize(trials_of(findings))
    return [c for c in (*claims.claims, *claims.further) if topic in (c.topic, "_remarks")]


@pytest.mark.slow
@pytest.mark.parametrize("topic", ["anomalies", "causes", "heads", "layers", "tasks", "trust", "_remarks"])
def test_a_template_that_prints_another_number_is_noticed(
    topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = template_folder() / "summary"
    sets = [random_findings(seed) for seed in range(14)]
    before = [_of(topic, f) for f in sets]
    noticed, unseen = 0, list[str]()
    for what, text in mutants((shipped / f"{topic}.j2").read_text())[::3]:  # every one was tried once
        (tmp_path / f"{topic}.j2").write_text(text)
        sentences.environment.cache_clear()
        monkeypatch.setattr(sentences, "filling", lambda setting: filling((setting[0], [tmp_path, *setting[1]])))
        printed, wrong = False, False
        for findings, told in zip(sets, before, strict=True):
            claims = _of(topic, findings)
            if [(c.headline, c.body) for c in claims] == [(c.headline, c.body) for c in told]:
                continue
            printed = True
            short = dict(shortened(tasks_of(findings)))
            wrong = wrong or any(each for c in claims for each in unheld(c, short))
        monkeypatch.undo()
        noticed += printed and wrong
        unseen += [what] if printed and not wrong else []
    sentences.environment.cache_clear()
    assert noticed
    assert unseen == []
