"""What verdict sentences say: every number is a field, and each verdict names its intervention."""

import json
import re
from typing import Any

import pytest

from reportgen.core.findings import Finding
from reportgen.core.sentences import Prose, percent, probability, significant
from reportgen.core.trials import Interval, Outcome, Reason, Trial, Validation
from reportgen.validation.verdicts import printed_of

NUMBER = re.compile(r"(?<![\w.])−?\d+(?:\.\d+)?")
REASONS: list[Reason | None] = [
    "examples",
    "controls",
    "exceeded",
    "few-controls",
    "whole-layer",
    "at-chance",
    "no-range",
    "few-groups",
    "in-sample",
    "budget",
]


def trial(verdict: Any, reason: Reason | None = None) -> Trial:
    return Trial(
        "cluster/t/1",
        "cluster",
        ["t"],
        ["L1H2", "L1H3"],
        verdict,
        reason,
        57,
        43,
        margin=0.0371,
        intact=Outcome(0.93, -0.2),
        knocked_out=Outcome(0.41, -1.5),
        loss=Interval(1.31, 1.1, 1.5),
        excess=Interval(1.23, 0.87, 1.64),
        after_controls=Outcome(0.89, -0.3),
        widened=2,
        q=0.0123,
        p=0.004,
        more=71,
        as_strong=3,
        distinct=16,
    )


def told(verdict: Any, reason: Reason | None = None) -> tuple[str, dict[str, Any]]:
    data = {"of": "top", "validation": printed_of(trial(verdict, reason), Validation("", {}))}
    finding = Finding(
        "causal_validation/t/1",
        "causal_validation",
        "m",
        "observed",
        0.5,
        rule="r",
        task="t",
        verdict=verdict,
        members=["L1H2", "L1H3"],
        data=data,
    )
    return Prose().sentence(finding), data["validation"]  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("verdict", "reason"), [("confirmed", None), ("refuted", None), *(("undecided", reason) for reason in REASONS)]
)
def test_every_number_is_a_field(verdict: str, reason: Reason | None) -> None:
    sentence, printed = told(verdict, reason)
    flat = [n for v in printed.values() for n in (v.values() if isinstance(v, dict) else [v])]
    known = {
        w
        for n in flat
        if isinstance(n, int | float)
        for w in (significant(n), significant(n, 2), percent(n), probability(n).split()[-1], str(n))
    }
    text = re.sub(r"L\d+H\d+", "", sentence.replace("95 % interval", ""))
    assert [n for n in NUMBER.findall(text) if n not in known] == [], json.dumps(printed)
    assert not re.search(r"\s[,.;:)]|\(\s|None|  ", sentence), sentence
    assert sentence.endswith(".")


def test_each_verdict_says_its_name_and_its_intervention() -> None:
    assert told("confirmed")[0] == (
        "t: with its 2 most important heads on other examples, L1H2 and L1H3, knocked out, 41.0 % of 57 held-out "
        "answers are right instead of 93.0 %; with matched control sets knocked out, 89.0 % on average. Confirmed: "
        "mean ablation of them lowers the answer's log-probability by 1.31 on 57 held-out examples, 1.23 (95 % "
        "interval 0.870 to 1.64) more than 0 matched control sets from up to 2 layers away do on average (q = 0.012)."
    )
    assert "not necessary under this intervention (redundancy or self-repair possible)" in told("refuted")[0]
    assert "about 71 more independent examples are needed" in told("undecided", "examples")[0]
    assert "only 16 matched control sets touch no found head, and 20 are needed" in told("undecided", "few-controls")[0]
    assert all("Confirmed" not in told("undecided", reason)[0] for reason in REASONS)
