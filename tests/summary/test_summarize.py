"""What any findings give: few claims, whose every number, name and count is in their values, in any order."""

from dataclasses import replace

import numpy as np
import pytest
from made_findings import random_findings, renamed, trials_of
from reading import faults, unheld

from reportgen.core.claims import Claims, from_json, to_json
from reportgen.core.findings import Finding
from reportgen.core.kinds import Kind
from reportgen.core.topics import TOPICS, Evidence
from reportgen.summary.limits import BODY, CLAIMS, HEADLINE, TOGETHER, Limit, shortened
from reportgen.summary.summarize import summarize, tasks_of
from reportgen.summary.topics.common import disagreement, hinges

SEEDS = range(60)  # benchmarks/random_claims.py reads a thousand


def measure(text: str, names: list[str]) -> tuple[int, int]:
    from reading import NUMBER, PLACES, without_names

    return len(text.split()), len(NUMBER.findall(PLACES.sub("", without_names(text, names))))


def within(claims: Claims, short: dict[str, str]) -> list[str]:
    """Where claims pass the limits, as a reader counts who does not know how they are made."""
    from reading import names_in

    wrong, total = [], np.zeros(2, dtype=int)
    for claim in claims.claims:
        for limit, text in ((HEADLINE, claim.headline), (BODY, claim.body)):
            words, numbers = measure(text, names_in(claim, short))
            total += words, numbers
            if words > limit.words or numbers > limit.numbers:
                wrong.append(f"{claim.id}: {words} words, {numbers} numbers: {text}")
    if len(claims.claims) > CLAIMS or total[0] > TOGETHER.words or total[1] > TOGETHER.numbers:
        wrong.append(f"{len(claims.claims)} claims, {total}")
    return wrong


def again(claims: Claims, findings: list[Finding]) -> list[str]:
    """The claims whose values do not come again of their supporting findings alone."""
    tasks, by_id, wrong = tasks_of(findings), {f.id: f for f in findings}, []
    for claim in claims.claims:
        support = tuple(by_id[name] for name in claim.support)
        _, name, *block = claim.id.split("/")
        if name == "nothing":
            continue
        evidence = Evidence(support, tuple(tasks), block[0] if block else None)
        drafts = [d for d in TOPICS.get(claim.topic, "").claims(evidence) if d.name == name]
        values = {k: v for d in drafts for k, v in {**d.values, **disagreement(d.support), **hinges(d.support)}.items()}
        made = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        kept = {k: v for k, v in claim.values.items() if k not in ("tasks", "exceptions")}
        if made != kept:
            wrong.append(f"{claim.id}: {kept} of its support {made}")
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_random_findings_give_claims_that_hold(seed: int) -> None:
    findings = random_findings(seed)
    claims = summarize(trials_of(findings))
    short = dict(shortened(tasks_of(findings)))
    assert [(c.id, each) for c in claims.claims for each in unheld(c, short)] == []
    assert [(c.id, each) for c in claims.claims for each in faults(c, short)] == []
    assert within(claims, short) == []
    assert again(claims, findings) == []
    assert [c.strength for c in claims.claims] == sorted((c.strength for c in claims.claims), reverse=True)
    assert from_json(to_json(claims)) == replace(claims, trials=None)
    assert bool(claims.claims) == bool(findings)


@pytest.mark.parametrize("seed", range(0, 60, 6))
def test_no_order_of_findings_tasks_or_methods_changes_a_claim(seed: int) -> None:
    findings = random_findings(seed)
    claims = summarize(trials_of(findings))
    rng = np.random.default_rng(seed)
    mixed = [findings[i] for i in rng.permutation(len(findings))]
    kinds = ("cross_task_head", "layer_band", "reliability", "competence", "method_agreement")
    mixed = [replace(f, tasks=f.tasks[::-1]) if f.tasks and f.kind in kinds else f for f in mixed]
    assert to_json(summarize(trials_of(mixed))) == to_json(claims)


def test_renamed_tasks_give_the_same_claims_of_their_new_names() -> None:
    findings = random_findings(13)
    tasks = tasks_of(findings)
    names = {task: f"z{i:02d}" for i, task in enumerate(tasks)}
    told = {c.id: c for c in summarize(trials_of([renamed(f, names) for f in findings])).claims}
    before = {c.id: c for c in summarize(trials_of(findings)).claims}
    # names of other lengths leave room for other claims of those that are weakest
    both = [c for c in told if c in before]
    assert both == [c for c in before if c in told]
    assert len(both) > 5
    for name in both:
        assert told[name].strength == before[name].strength
        assert told[name].tasks == tuple(sorted(names[t] for t in before[name].tasks))


def test_claims_without_room_are_kept_and_said_to_be_left_out() -> None:
    claims = summarize(trials_of(random_findings(3)))
    assert len(claims.further) > 3
    known = [c.id for c in (*claims.claims, *claims.further)]
    assert len(known) == len({*known})
    last = claims.further[-1]
    assert claims.find(last.id) is last
    assert claims.further[0].headline in claims.left_out
    assert str(len(claims.further)) in claims.left_out
    assert [c.strength for c in claims.further] == sorted((c.strength for c in claims.further), reverse=True)
    assert replace(claims, further=()).left_out == ""


def test_nothing_found_is_nothing_claimed() -> None:
    claims = summarize(trials_of([]))
    assert claims.claims == ()
    assert claims.nothing == "Nothing was found that could be claimed."
    assert claims.silent == tuple(t.name for t in TOPICS.known())


def in_block(finding: Finding, block: str) -> Finding:
    return replace(finding, block=block, id=f"{block}/{finding.id}")


@pytest.mark.parametrize("seed", [0, 5, 9, 21])
def test_each_block_of_heads_has_claims_of_its_own(seed: int) -> None:
    every = random_findings(seed)
    findings = [in_block(f, block) for f in every for block in ("enc", "cross") if f.layers is not None]
    claims = summarize(trials_of([*findings, *(f for f in every if f.layers is None)]))
    of_blocks = [c for c in claims.claims if c.id.count("/") == 2]
    assert of_blocks
    for claim in of_blocks:
        title = {"enc": "Encoder: ", "cross": "Cross-attention: "}[claim.id.rpartition("/")[2]]
        assert claim.headline.startswith(title)
        assert all(name.startswith(claim.id.rpartition("/")[2]) for name in claim.support)
    assert within(claims, dict(shortened(tasks_of(findings)))) == []


def test_findings_of_others_without_a_topic_are_named_apart() -> None:
    theirs = Finding("odd_kind/a/1", "odd_kind", "m", "observed", 0.9, rule="r", task="A", members=["L0H0"])
    claims = summarize(trials_of([theirs]))
    assert claims.apart == ("odd kind",)
    assert [c.headline for c in claims.claims] == ["Nothing stands out on A"]
    assert claims.claims[0].support == ("odd_kind/a/1",)


def test_findings_of_others_with_a_topic_of_ours_are_worded_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("odd_kind", label="odd heads", topic="heads")
    monkeypatch.setattr("reportgen.summary.summarize.kind_of", lambda name: kind)
    theirs = Finding("odd_kind/a/1", "odd_kind", "m", "observed", 0.9, rule="r", task="A", members=["L0H0"])
    (claim,) = summarize(trials_of([theirs])).claims
    assert (claim.id, claim.headline, claim.body) == ("heads/odd_kind", "odd heads: on A", "L0H0.")


def test_ten_thousand_tied_heads_lead_nothing() -> None:
    data = {"total": 10_000, "values": [1.0], "equal": 10_000, "separable": None, "first_ranks": [], "last_ranks": []}
    tied = Finding("top_heads/a/1", "top_heads", "m", "observed", 0.2, rule="r", task="A", members=["L0H0"], data=data)
    (claim,) = summarize(trials_of([tied])).claims
    assert claim.headline == "Nothing stands out on A"


def test_limits_count_words_and_numbers_but_not_those_of_names() -> None:
    from reportgen.summary.limits import fitted, marked, numbers, words

    text = f"{marked('Top 5 of 3')} reaches 0.0028 in layers {marked('0–4')} and 1,024 heads (q < 1e-5)."
    assert numbers(text) == 3
    assert words("one two  three") == 3
    assert fitted("A b c. D e f. G h i.", Limit(6, 0)) == "A b c. D e f."
    assert fitted("A 1 2. B.", Limit(6, 1)) == ""
    assert fitted(f"{marked('No. 5. B')} is long. Then not.", Limit(6, 0)) == f"{marked('No. 5. B')} is long."


def test_long_names_are_cut_and_still_told_apart() -> None:
    same = [f"Massive multitask language understanding of many subjects: {name}" for name in ("formal logic", "law")]
    assert [*shortened(same).values()] == ["formal logic", "law"]
    assert [*shortened(["Recall", "Logic"]).values()] == ["Recall", "Logic"]
    one = "x" * 300
    assert len(shortened([one])[one]) == 40
    alike = [f"{'word ' * 20}{end}{' word' * 20}" for end in ("first", "second")]
    cut = shortened(alike)
    assert len({*cut.values()}) == 2
    assert all(len(name) <= 41 and len(name.split()) <= 5 for name in cut.values())
    begun = ["y" * 100, "y" * 90]
    assert len({*shortened(begun).values()}) == 2
