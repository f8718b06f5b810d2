"""From all that was found and tried to what a reader should take away.

Each topic makes drafts of the findings that bear on it; they are worded, and the strongest stay within the limits of
words and numbers that a reader has patience for (docs/claims.md gives each rule with its reason).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reportgen.core.claims import Claim, Claims
from reportgen.core.findings import Finding, Register
from reportgen.core.kinds import KINDS, kind_of
from reportgen.core.topics import TOPICS, Draft, Evidence, Grade, Topic
from reportgen.core.trials import Trials
from reportgen.summary.limits import BODY, CLAIMS, TOGETHER, Limit, fitted, numbers, plain, words
from reportgen.summary.remarks import interpretation, nothing, searches, title
from reportgen.summary.topics.common import disagreement, hinges
from reportgen.summary.wording import Wording

# What outranks what: a set that carries its task over one that is only needed, a verdict over an importance, a tested
# over an observed finding; a context only says how to read the others.
GRADES: tuple[Grade, ...] = ("context", "observed", "tested", "tried", "carried")
DIGITS = 10  # steps of effect, certainty and breadth: a finer effect would leave the other two no say
FEWEST = 10_000  # one in so many: a smaller q makes a claim no surer, as few tests have more draws
WIDE = 0.5  # of the tasks: a pattern of the model, not of a task
PER_TOPIC = 4  # claims of a topic: more would leave others without a say


@dataclass(frozen=True)
class Worded:
    """A draft in words, with names still marked."""

    topic: Topic
    draft: Draft
    block: str | None
    strength: float
    headline: str
    body: str

    @property
    def id(self) -> str:
        """The claim's id: topic, case of its template, and the block of heads where it is about one."""
        return "/".join(part for part in (self.topic.name, self.draft.name, self.block) if part)


def summarize(trials: Trials) -> Claims:
    """Say what a reader should take away: few claims, the strongest first, each with the findings behind it.

    Nothing depends on the order of findings, tasks or methods. Raises InputError for templates of the study's own that
    fail or pass the limits.
    """
    findings = sorted(trials.findings.findings, key=_place)
    source = trials.findings.source
    tasks = tasks_of(findings) if source is None else sorted(task.name for task in source.tasks)
    metric = "" if source is None else source.blocks[0].method.metric or ""
    wording = Wording(tasks, None if source is None else source.study.report.templates)
    whole = Evidence(tuple(findings), tuple(tasks), None, metric)
    every = [replace(whole, findings=tuple(f for f in findings if f.block == b), block=b) for b in _blocks(findings)]
    worded = [w for evidence in every for topic in TOPICS.known() for w in _worded(topic, evidence, wording)]
    if findings and not any(grade(w.draft) != "context" for w in worded):
        # what only says how to read claims says nothing where there are none
        (topic,) = TOPICS.chosen(["heads"], "topics")
        draft = nothing(whole)
        worded = [Worded(topic, draft, None, strength(draft, tasks), *wording.claim(topic, draft, None))]
    if any(w.draft.voids for w in worded):
        worded = [w for w in worded if w.draft.voids or grade(w.draft) not in ("context", "observed")]
    chosen = within(worded)
    claims = tuple(_claim(w) for w in chosen)
    # of like ids the stronger, as among those that have room
    rest = {w.id: w for w in reversed(_ranked(worded)) if w.id not in {c.id for c in claims}}
    return Claims(
        claims,
        title(claims, source, wording),
        searches(whole, wording),
        tuple(interpretation(whole, wording)),
        tuple(t.name for t in TOPICS.known() if t.name not in {c.topic for c in claims}),
        tuple(sorted({kind_of(f.kind).label for f in findings if not kind_of(f.kind).topic})),
        tuple(_claim(w) for w in _ranked(rest.values())),
        trials=trials,
    )


def tasks_of(findings: Iterable[Finding]) -> list[str]:
    """Return the tasks that findings name, in the order of the alphabet."""
    return sorted({name for f in findings for name in (f.task, *(f.tasks or ())) if name is not None})


def _blocks(findings: Iterable[Finding]) -> list[str | None]:
    return sorted({f.block for f in findings}, key=lambda block: block or "")


def _place(finding: Finding) -> tuple[object, ...]:
    """Return an order of findings that owes nothing to the file's, nor to the detectors'."""
    return finding.kind, finding.task or "", finding.layers or (), finding.heads or (), str(finding.members), finding.id


def _worded(topic: Topic, evidence: Evidence, wording: Wording) -> Iterator[Worded]:
    ours = ((draft, False) for draft in topic.claims(evidence))
    for draft, strange in (*ours, *((draft, True) for draft in _others(topic, evidence))):
        power = strength(draft, evidence.tasks)
        # where the rule holds for fewer tasks than not, the others are no exceptions
        exceptions = draft.exceptions if len(draft.exceptions) <= len(draft.tasks) else ()
        doubts = {**disagreement(draft.support), **hinges(draft.support)}
        kept = replace(draft, exceptions=exceptions, values={**draft.values, **doubts})
        yield Worded(topic, kept, evidence.block, power, *wording.claim(topic, kept, evidence.block, strange))


def _others(topic: Topic, evidence: Evidence) -> Iterator[Draft]:
    """Yield a draft for each kind of other packages that names the topic, which knows nothing of it."""
    ours = {kind.name for kind in KINDS.own()}
    for name in sorted({f.kind for f in evidence.findings} - ours):
        kind, found = kind_of(name), evidence.of(name)
        named = [f for f in found if kind.key(f)]
        if kind.topic == topic.name and not kind.remark and named:
            members = sorted({str(m) for f in named for m in f.members or ()})
            values = {"label": kind.label, "members": members} if members else {"label": kind.label}
            yield Draft(name=name, support=named, values=values, tasks=tasks_of(named))


def register(draft: Draft) -> Register:
    """Return *tested* where every finding of the support is, and they are more than a context or a count; else
    *observed*.
    """
    tested = draft.grade not in ("context", "observed") and all(f.register == "tested" for f in draft.support)
    return "tested" if tested and draft.support else "observed"


def grade(draft: Draft) -> Grade:
    """Return what a draft's evidence allows: what interventions said of it, else whether it was tested."""
    if draft.grade is not None:
        return draft.grade
    if draft.verdict == "necessary" and all(f.specific for f in draft.support):
        return "carried"
    return "tried" if draft.verdict in ("necessary", "unnecessary", "mixed") else register(draft)


def strength(draft: Draft, tasks: Sequence[str]) -> float:
    """Return a draft's strength from 0 to 1: its grade, whether it holds for half of the tasks or more, and then a
    digit each for effect, certainty and breadth.
    """
    q = [f.test.q for f in draft.support if f.test is not None]
    breadth = len(draft.tasks) / len(tasks) if tasks else 0.0
    # what is not needed costs nothing, however much it stands out
    effect = 0.0 if draft.verdict == "unnecessary" else draft.effect
    digits = [min(DIGITS - 1, max(0, round((DIGITS - 1) * part))) for part in (effect, _certainty(q), breadth)]
    within: float = sum(digit / DIGITS ** (i + 1) for i, digit in enumerate(digits))
    return round((GRADES.index(grade(draft)) + ((breadth >= WIDE) + within) / 2) / len(GRADES), 6)


def _certainty(q: Sequence[float]) -> float:
    """Return how sure the least sure of tests is, from 0 to 1 on a logarithmic scale; 0 without any."""
    return min(1.0, -math.log10(max(*q, 1 / FEWEST)) / math.log10(FEWEST)) if q else 0.0


def within(worded: Iterable[Worded]) -> list[Worded]:
    """Return the strongest claims that keep to the limits together, in their order.

    No topic has more than four, and each topic's strongest has its place first. A claim whose evidence no longer fits
    keeps the sentences that do; one of which not even the first does is left out.
    """
    ranked = _ranked(worded)
    first = {w.topic.name: w for w in reversed(ranked)}
    before: dict[str, int] = {}
    queue = list[Worded]()
    for w in ranked:
        before[w.topic.name] = before.get(w.topic.name, 0) + 1
        if before[w.topic.name] <= PER_TOPIC:
            queue.append(w)
    queue = [w for w in queue if first[w.topic.name] is w] + [w for w in queue if first[w.topic.name] is not w]
    kept = dict[str, Worded]()
    room_words, room_numbers = TOGETHER.words, TOGETHER.numbers
    for w in queue:
        if len(kept) == CLAIMS:
            break
        left = Limit(room_words - words(w.headline), room_numbers - numbers(w.headline))
        body = fitted(w.body, Limit(min(left.words, BODY.words), min(left.numbers, BODY.numbers)))
        # without evidence a claim is none; of two that say the same of one topic, the stronger stands
        if w.id in kept or left.words < 0 or left.numbers < 0 or (w.body and not body):
            continue
        kept[w.id] = Worded(w.topic, w.draft, w.block, w.strength, w.headline, body)
        room_words, room_numbers = left.words - words(body), left.numbers - numbers(body)
    return [kept[w.id] for w in ranked if w.id in kept and kept[w.id].draft is w.draft]


def _ranked(worded: Iterable[Worded]) -> list[Worded]:
    order = {topic.name: i for i, topic in enumerate(TOPICS.known())}
    return sorted(worded, key=lambda w: (-w.strength, order[w.topic.name], w.id))


def _claim(worded: Worded) -> Claim:
    draft = worded.draft
    values = {k: v if isinstance(v, int | float | str) else tuple(v) for k, v in draft.values.items()}
    values |= {"tasks": len(draft.tasks), "exceptions": len(draft.exceptions)}
    return Claim(
        id=worded.id,
        topic=worded.topic.name,
        headline=plain(worded.headline),
        body=plain(worded.body),
        register=register(draft),
        verdict=draft.verdict,
        tasks=tuple(sorted(draft.tasks)),
        exceptions=tuple(sorted(draft.exceptions)),
        support=tuple(sorted(f.id for f in draft.support)),
        values=values,
        strength=worded.strength,
    )
