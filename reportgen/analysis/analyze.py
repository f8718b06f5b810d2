"""HeadScores in, Findings out."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from reportgen.analysis.detectors import known, third_party
from reportgen.analysis.statistics.regions import with_ties
from reportgen.analysis.third_party import ThirdParty
from reportgen.analysis.view import Detector, Outcome, Settings, View
from reportgen.core.blocks import Blocks, as_blocks, written
from reportgen.core.findings import MOST, Finding, Findings, json_schema, numbered
from reportgen.core.scores import HeadScores
from reportgen.core.sentences import Prose
from reportgen.errors import InputError


def analyze(
    scores: HeadScores | Sequence[HeadScores],
    settings: Settings = Settings(),  # noqa: B008
    prose: Prose | None = None,
    others: Mapping[str, HeadScores | Sequence[HeadScores]] = {},
) -> Findings:
    """Run every detector on the scores; ``prose`` writes the sentences (the shipped templates by default).

    ``settings.alpha`` is shared by all families of tests (see ``levels``): where nothing is to be found, at most that
    share of reports carries any tested finding.

    ``scores`` are those of one method: a HeadScores, or one for each block of an encoder-decoder. Each of B blocks is
    analysed for itself at alpha/B, so that more blocks do not mean more false findings. ``others`` are the same heads'
    scores by further methods, by name.
    Raises InputError for a detector or a control task that does not exist and for blocks or methods that do not belong
    together.
    """
    blocks = as_blocks(scores)
    further = {name: as_blocks(each) for name, each in others.items()}
    _check(blocks, further, settings)
    write = (prose or Prose()).sentence
    others_own = ThirdParty(settings.detectors, write)
    outcomes = [o for i in range(len(blocks)) for o in _outcomes(blocks, further, i, settings, others_own)]
    outcomes = others_own.without_failed(outcomes)
    findings = [replace(f, sentence=write(f)) for f in numbered([f for o in outcomes for f in o.findings])]
    families = [o.family for o in outcomes if o.family is not None and o.family.size > 0]
    return Findings({}, settings.alpha, settings.seed, families, findings, plugins=others_own.used)


def _check(blocks: Blocks, others: Mapping[str, Blocks], settings: Settings) -> None:
    """Raise InputError for a control task that there is not, and for methods that scored other heads or tasks."""
    names = blocks[0].task_names
    if settings.control is not None and settings.control not in names:
        hint = f"The tasks are: {', '.join(names)}"
        raise InputError(f"no task is called {settings.control!r}", "[tasks] control", hint)
    for name, each in others.items():
        if [(b.block, b.importance.shape, b.task_names) for b in each] != [
            (b.block, b.importance.shape, b.task_names) for b in blocks
        ]:
            problem = f"{name} scored other heads or tasks than {blocks[0].method.name}"
            raise InputError(problem, "scores of further methods", "Score all methods in one run")


def _outcomes(
    blocks: Blocks, others: Mapping[str, Blocks], i: int, settings: Settings, plugins: ThirdParty
) -> list[Outcome]:
    """The outcomes of block number ``i``; what is not about heads is told with the first, at the whole alpha."""
    scores, outcomes = blocks[i], list[Outcome]()
    further = {name: each[i] for name, each in others.items()}
    own = View(scores, replace(settings, alpha=settings.alpha / len(blocks)), further)
    own = with_ties(replace(own, levels=levels(own, plugins)))
    for detector in chosen(settings.detectors):
        if not detector.of_heads and i > 0:
            continue
        view = own if detector.of_heads or scores.block is None else _whole(scores, settings, plugins)
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice|Mean of empty slice", RuntimeWarning)
            outcomes.append(_placed(plugins.detect(detector, view, outcomes), view.scores.block, len(blocks)))
    return outcomes


def levels(view: View, plugins: ThirdParty) -> dict[str, float]:
    """Each kind's part of alpha: by the weights of the kinds that the scores can be tested for, at most half of it.

    It does not depend on which of our detectors run, so that a finding stays the same whatever else is looked for.
    """
    weights = {d.kind: d.weight for d in known() if d.weight and plugins.able(d, view)}
    total = sum(weights.values())
    return {kind: view.settings.alpha * min(weight / total, MOST) for kind, weight in weights.items()}


def _whole(scores: HeadScores, settings: Settings, plugins: ThirdParty) -> View:
    """The view of what is not about heads."""
    view = View(replace(scores, block=None), settings)
    return replace(view, levels=levels(view, plugins))


def _placed(outcome: Outcome, block: str | None, blocks: int) -> Outcome:
    """The outcome with the block in its heads' names and in its family, which is corrected for the number of blocks."""
    if block is None:
        return outcome
    family = outcome.family
    if family is not None:
        shared = f"; alpha divided by {blocks}, the number of blocks" if blocks > 1 else ""
        family = replace(family, id=f"{family.id}/{block}", correction=f"{family.correction}{shared}")
    return replace(outcome, family=family, findings=[_named(f, block) for f in outcome.findings])


def _named(finding: Finding, block: str) -> Finding:
    members = finding.members and [written(block, m) if isinstance(m, str) else m for m in finding.members]
    test = finding.test and replace(finding.test, family=f"{finding.test.family}/{block}")
    return replace(finding, members=members, test=test)


def findings_schema() -> dict[str, Any]:
    """The JSON Schema of findings.json, with what each kind of finding holds as ``data``."""
    schema = json_schema()
    rules = []
    for detector in known():
        if detector.data is not None:
            held = TypeAdapter(detector.data).json_schema(ref_template=f"#/$defs/{detector.kind}.{{model}}")
            schema["$defs"] |= {f"{detector.kind}.{name}": of for name, of in held.pop("$defs", {}).items()}
            kind = {"properties": {"kind": {"const": detector.kind}}}
            rules.append({"if": kind, "then": {"properties": {"data": held}}})
    schema["$defs"]["Finding"]["allOf"] = rules
    return schema


def chosen(names: Sequence[str] | None) -> list[Detector]:
    """The detectors of those names in the order in which they run; all for None.

    Raises InputError for a name that is none. A plug-in that cannot be used is passed over; the analysis says why.
    """
    usable = known()
    kinds = [d.kind for d in usable]
    failed = {each.plugin.name for each in third_party()}
    for name in names or ():
        if name not in {*kinds, *failed}:
            raise InputError(f"no detector is called {name!r}", "[analysis] detectors", f"Known: {', '.join(kinds)}")
    return [d for d in usable if names is None or d.kind in names]
