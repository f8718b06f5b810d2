"""What verdict sentences say: every number is a field, and each verdict names what it rests on."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from circuits import Circuit, any_of
from made_trials import shown, trial

from reportgen.core.findings import Finding, Findings, Robustness
from reportgen.core.sentences import FILTERS, Prose, percent, probability, significant
from reportgen.core.trials import Interval, Rank, Validation
from reportgen.validation.derive import derive
from reportgen.validation.verdicts import judged, printed_of

NUMBER = re.compile(r"(?<![\w.])−?\d+(?:\.\d+)?")
# by name: what is changed of a needed and specific set, and what its sentence has to say
TOLD: dict[str, tuple[dict[str, Any], str]] = {
    "needed": (
        {},
        "Needed: on 57 held-out examples, knocking them out costs 1.31 (95 % interval 1.11 to 1.51) nats of the "
        "answer's log-probability by mean ablation, 1.40 by zero ablation and 1.20 by resampling, above the margin of "
        "0.100 (q = 0.012). They cost more than other heads of their layers: rank 1 of 29 (interval 1 to 2) among sets "
        "of as many heads there (q = 0.0045). The loss lies above the margin in 46 of 48 specifications, least often "
        "with zero ablation and last token.",
    ),
    "not needed": (
        {"verdict": "unnecessary", "specific": False, "shown": shown(0.01, 0.02, 0.03), "rank": Rank(29, 20, 40, 56)},
        "below the margin of 0.100 (q = 0.012); other heads may stand in. They do not cost more than other heads of "
        "their layers: rank 29 of 56 (interval 20 to 40)",
    ),
    "sink": (
        {"sink": True, "neutral": Interval(0.012, 0.01, 0.02)},
        "Most of them rest their attention on the first token (sink); neutral text loses 0.0120 nats without them.",
    ),
    "depends": (
        {"verdict": "mixed", "shown": shown(0.04, 0.87, 0.05), "specific": None, "silence": "rank"},
        "Depends on the intervention: on 57 held-out examples, knocking them out costs, in nats of the answer's "
        "log-probability, 0.870 by zero ablation, above the margin of 0.100, and 0.0400 by mean ablation and "
        "0.0500 by resampling, below it.",
    ),
    "undecided": (
        {"verdict": "undecided", "reason": "examples", "more": 71, "shown": shown(0.12, 0.11, 0.13)},
        "which cannot be told from the margin of 0.100; about 71 more independent examples might tell.",
    ),
    "at chance": (
        {"verdict": "undecided", "reason": "at-chance", "rank": None, "silence": "at-chance"},
        "better than chance",
    ),
    "worth nothing": ({"verdict": "undecided", "reason": "no-worth", "rank": None}, "there is nothing to lose"),
    "few": ({"verdict": "undecided", "reason": "few-groups", "rank": None}, "fewer than 16 independent examples"),
    "in sample": ({"verdict": "undecided", "reason": "in-sample", "rank": None}, "no example is left to test on"),
    "core": (
        {"core": ["L1H2"]},
        "Judged by L1H2, without which the others cost less than the margin. Needed: on 57 held-out examples, knocking "
        "it out costs",
    ),
    "off distribution": (
        {"shown": shown(1.31, 15.0, 1.2, votes=False)},
        "by mean ablation and 1.20 by resampling, above the margin of 0.100 (q = 0.012). Zero ablation, 15.0 nats, "
        "takes the model off its distribution and does not count.",
    ),
    "small layer": (
        {"rank": None, "specific": None, "silence": "few-sets", "distinct": 5},
        "Not comparable in so small a layer: only 5 other sets of as many heads exist there, and 7 are needed.",
    ),
    "whole layer": (
        {"rank": Rank(3, None, None, 12), "specific": None, "silence": "whole-layer"},
        "A whole layer, which no other heads of it can be held against; among the 12 whole layers it costs the task as "
        "number 3.",
    ),
    "budget": ({"rank": None, "specific": None, "silence": "budget"}, "The budget of the validation did not reach"),
    "open": (
        {"specific": None, "silence": "rank", "rank": Rank(3, 1, 12, 56)},
        "Whether they cost more than other heads of their layers is open: rank 3 of 56 (interval 1 to 12)",
    ),
    "carries": (
        {"neutral": Interval(0.01, 0.0, 0.02), "spared": True},
        "Neutral text is spared (0.0100 nats): these heads carry the task.",
    ),
    "not spared": (
        {"neutral": Interval(0.5, 0.4, 0.6), "spared": False},
        "Neutral text is not shown to be spared (0.500 nats).",
    ),
}


def told(changes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    made = trial(**changes)
    data = {"of": "top", "validation": printed_of(made, Validation("", {}))}
    finding = Finding(
        "causal_validation/t/1",
        "causal_validation",
        "m",
        "observed",
        0.5,
        rule="r",
        task="t",
        verdict=made.verdict,
        specific=made.specific,
        robustness=made.robustness,
        members=made.heads,
        data=data,
    )
    return Prose().sentence(finding), {**data, "robustness": vars(made.robustness)}


def numbers(value: Any) -> Iterator[float]:
    """All numbers of nested JSON values, and how many entries their lists have."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        yield len(value)
        for each in value:
            yield from numbers(each)
    elif isinstance(value, int | float):
        yield value


def unknown(sentence: str, fields: Any) -> list[str]:
    """The numbers of a sentence that no field holds."""
    known = {
        w
        for n in numbers(fields)
        for w in (significant(n), significant(n, 2), percent(n), probability(n).split()[-1], str(n), FILTERS["rho"](n))
    }
    text = re.sub(r"L\d+H\d+|95 % interval|chance is 50 %", "", sentence)
    return [n for n in NUMBER.findall(text) if n not in known]


@pytest.mark.parametrize("name", TOLD)
def test_each_verdict_says_what_it_rests_on_and_every_number_is_a_field(name: str) -> None:
    changes, words = TOLD[name]
    sentence, fields = told(changes)
    assert words in sentence
    assert unknown(sentence, fields) == [], json.dumps(fields)
    assert not re.search(r"\s[,.;:)]|\(\s|None|  ", sentence), sentence
    assert sentence.endswith(".")
    assert ("carry" in sentence) is (name == "carries"), "only with need, specificity and neutral text spared"


def findings_of(costs: dict[str, Any], firsts: dict[str, list[str]]) -> list[Finding]:
    circuit = Circuit(costs, 2)
    raw = circuit.raw(*(circuit.found(heads, [task]) for task, heads in firsts.items()))
    made = judged(Findings({}, 0.1, 0, [], []), derive(raw), Prose())
    families = {family.id for family in made.families}
    assert all(f.test is None or f.test.family in families for f in made.findings)
    return made.findings


def test_sentences_of_the_matrix_hold_no_number_of_their_own() -> None:
    found = findings_of(
        {
            "Math": any_of(["L1H2", "L0H7"], 1.5),
            "Inference": any_of(["L0H7"], 0.8),
            "Recall": lambda out, how: 1.2 * ("L0H6" in out) + 0.3 * ("L0H1" in out),
        },
        {"Math": ["L1H2"], "Inference": ["L0H7"], "Recall": ["L0H1", "L0H2"]},
    )
    said = {str((f.data or {})["of"]): f for f in found}
    assert [*said] == ["top", "specialists", "shared", "overlooked", "choice", "order"]
    for f in found:
        fields = [f.data, vars(f.test) if f.test else None, f.members, vars(f.robustness or Robustness(0, 0))]
        assert unknown(f.sentence, fields) == [], f.sentence
        assert not re.search(r"\s[,.;:)]|\(\s|None|  ", f.sentence), f.sentence
    assert said["shared"].sentence.startswith(
        "One head is needed by more than one of 3 tasks (q < 0.0001): L0H7 by Math"
    )
    assert re.match(r"Recall: L0H6 \(1\.\d+\) costs it more nats alone than its 2 most", said["overlooked"].sentence)
    assert "Recall alone loses by mean ablation of L0H6 (" in " ".join(f.sentence for f in found)
