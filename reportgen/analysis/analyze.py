"""HeadScores in, Findings out."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from reportgen.analysis.statistics.regions import with_ties
from reportgen.analysis.view import DETECTORS, Detector, Outcome, Settings, View
from reportgen.core.blocks import Blocks, as_blocks, written
from reportgen.core.findings import MOST, Finding, Findings, from_json, json_schema, numbered, to_json
from reportgen.core.kinds import KINDS
from reportgen.core.plugins import Plugin
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
    # a suite's task may have been left out; a name that is none was refused before anything was scored
    if settings.control is not None and settings.control not in names and not settings.suites:
        hint = f"The tasks are: {', '.join(names)}"
        raise InputError(f"no task is called {settings.control!r}", "[tasks] control", hint)
    for name, each in others.items():
        if [(b.block, b.importance.shape, b.task_names) for b in each] != [
            (b.block, b.importance.shape, b.task_names) for b in blocks
        ]:
            problem = f"{name} scored other heads or tasks than {blocks[0].method.name}"
            raise InputError(problem, "scores of further methods", "Score all methods in one run")


class ThirdParty:
    """Other packages' detectors in an analysis: what fails in them is named, and all other findings stand.

    ``names`` are the detectors that the study wants (None: all).
    """

    def __init__(self, names: Sequence[str] | None, sentence: Callable[[Finding], str]) -> None:
        self._sentence = sentence
        self._all = [each for each in DETECTORS.third_party() if names is None or each.plugin.name in names]
        self._plugins = {each.record.name: each.plugin for each in self._all if each.record is not None}

    @property
    def used(self) -> tuple[Plugin, ...]:
        """The plug-ins in the order of their names, each with what became of it."""
        return tuple(e.plugin if e.record is None else self._plugins[e.record.name] for e in self._all)

    def failed(self, kind: object) -> bool:
        """Whether a detector of that kind is a plug-in that failed."""
        return isinstance(kind, str) and kind in self._plugins and bool(self._plugins[kind].error)

    def able(self, detector: Detector, view: View) -> bool:
        """Whether the detector can test these scores; a plug-in that raises, or that is not wanted, cannot."""
        if detector in DETECTORS.own():
            return detector.able(view)
        if detector.name not in self._plugins or self.failed(detector.name):
            return False
        try:
            return bool(detector.able(view))
        except (Exception, SystemExit) as error:
            self._plugins[detector.name] = self._plugins[detector.name].failed(error)
            return False

    def detect(self, detector: Detector, view: View, earlier: Sequence[Outcome]) -> Outcome:
        """Return what a detector finds; nothing where it is a plug-in and raises, or finds what no report can hold."""
        kind = detector.name
        if kind not in self._plugins:
            return detector.detect(view, earlier)
        if not self.failed(kind):
            try:
                return self._checked(detector, view, detector.detect(view, earlier))
            except (Exception, SystemExit) as error:
                self._plugins[kind] = self._plugins[kind].failed(error)
        return Outcome(kind)

    def _checked(self, detector: Detector, view: View, made: object) -> Outcome:
        """Return an outcome that a report can hold, as it will be read from its file; raises what is wrong with it."""
        if not isinstance(made, Outcome) or made.kind != detector.name:
            raise TypeError(f"it returned no Outcome of kind {detector.name}")
        strange = [f.kind for f in made.findings if f.kind != detector.name]
        if strange:
            raise ValueError(f"a finding of kind {strange[0]}")
        text = json.dumps(to_json(Findings({}, 0.05, 0, [], made.findings)), allow_nan=False)
        found = from_json(json.loads(text), detector.name)
        shape = (view.scores.n_layers, view.scores.n_heads)
        found.refuse_other_scores({view.scores.block: shape}, view.scores.task_names, detector.name)
        for finding in found.findings:
            if detector.data is not None:
                TypeAdapter(detector.data).validate_python(finding.data)
            if not self._sentence(finding):
                raise ValueError("its sentence template writes nothing")
        return replace(made, findings=found.findings)

    def without_failed(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the outcomes without those of plug-ins that failed, and without what is said of their searches."""
        rest = [o for o in outcomes if not self.failed(o.kind)]
        return [
            replace(o, findings=[f for f in o.findings if not self.failed((f.data or {}).get("searched"))])
            for o in rest
        ]


def _outcomes(
    blocks: Blocks, others: Mapping[str, Blocks], i: int, settings: Settings, plugins: ThirdParty
) -> list[Outcome]:
    """Return the outcomes of block number ``i``; what is not about heads is told with the first, at the whole alpha."""
    # random draws deal examples, and one of several ablations is what scores are held against: by name, so that the
    # order in which a file or a study lists them decides nothing
    scores, outcomes = _by_id(blocks[i]), list[Outcome]()
    further = {name: _by_id(others[name][i]) for name in sorted(others)}
    own = View(scores, replace(settings, alpha=settings.alpha / len(blocks)), further)
    own = with_ties(replace(own, levels=levels(own, plugins)))
    for detector in chosen(settings.detectors):
        if (not detector.of_heads and i > 0) or not detector.fits(scores):
            continue
        view = own if detector.of_heads or scores.block is None else _whole(scores, settings, plugins)
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice|Mean of empty slice", RuntimeWarning)
            outcomes.append(_placed(plugins.detect(detector, view, outcomes), view.scores.block, len(blocks)))
    return outcomes


def _by_id(scores: HeadScores) -> HeadScores:
    return replace(scores, examples=tuple(e and e.by_id() for e in scores.examples))


def levels(view: View, plugins: ThirdParty) -> dict[str, float]:
    """Each kind's part of alpha: by the weights of the kinds that the scores can be tested for, at most half of it.

    It does not depend on which of our detectors run, so that a finding stays the same whatever else is looked for.
    """
    weights = {d.name: d.weight for d in DETECTORS.known() if d.weight and plugins.able(d, view)}
    total = sum(weights.values())
    return {kind: view.settings.alpha * min(weight / total, MOST) for kind, weight in weights.items()}


def _whole(scores: HeadScores, settings: Settings, plugins: ThirdParty) -> View:
    """Return the view of what is not about heads."""
    view = View(replace(scores, block=None), settings)
    return replace(view, levels=levels(view, plugins))


def _placed(outcome: Outcome, block: str | None, blocks: int) -> Outcome:
    """Return the outcome with the block in its heads' names and in its family, which is corrected for the number of
    blocks.
    """
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
    """Return the JSON Schema of findings.json, with what each kind of finding holds as ``data``."""
    schema = json_schema()
    rules = []
    for kind in KINDS.known():
        if kind.data is not None:
            held = TypeAdapter(kind.data).json_schema(ref_template=f"#/$defs/{kind.name}.{{model}}")
            schema["$defs"] |= {f"{kind.name}.{name}": of for name, of in held.pop("$defs", {}).items()}
            rules.append({"if": {"properties": {"kind": {"const": kind.name}}}, "then": {"properties": {"data": held}}})
    schema["$defs"]["Finding"]["allOf"] = rules
    return schema


def chosen(names: Sequence[str] | None) -> list[Detector]:
    """Return the detectors of those names in the order in which they run; all for None.

    Raises InputError for a name that is none. A plug-in that cannot be used is passed over; the analysis says why.
    """
    wanted = DETECTORS.chosen(names, "[analysis] detectors")
    return [detector for detector in DETECTORS.known() if detector in wanted]
