"""Other packages' detectors: what fails in them is named, and all other findings stand."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from reportgen.analysis.detectors import DETECTORS, third_party
from reportgen.analysis.view import Detector, Outcome, View
from reportgen.core.findings import Finding, Findings, from_json, to_json
from reportgen.core.plugins import Plugin


class ThirdParty:
    """The plug-ins among the detectors of an analysis; ``names`` are the detectors that the study wants (None: all)."""

    def __init__(self, names: Sequence[str] | None, sentence: Callable[[Finding], str]) -> None:
        self._sentence = sentence
        self._all = [each for each in third_party() if names is None or each.plugin.name in names]
        self._plugins = {each.record.kind: each.plugin for each in self._all if each.record is not None}

    @property
    def used(self) -> tuple[Plugin, ...]:
        """The plug-ins in the order of their names, each with what became of it."""
        return tuple(e.plugin if e.record is None else self._plugins[e.record.kind] for e in self._all)

    def failed(self, kind: object) -> bool:
        """Whether a detector of that kind is a plug-in that failed."""
        return isinstance(kind, str) and kind in self._plugins and bool(self._plugins[kind].error)

    def able(self, detector: Detector, view: View) -> bool:
        """Whether the detector can test these scores; a plug-in that raises, or that is not wanted, cannot."""
        if detector in DETECTORS:
            return detector.able(view)
        if detector.kind not in self._plugins or self.failed(detector.kind):
            return False
        try:
            return bool(detector.able(view))
        except (Exception, SystemExit) as error:
            self._plugins[detector.kind] = self._plugins[detector.kind].failed(error)
            return False

    def detect(self, detector: Detector, view: View, earlier: Sequence[Outcome]) -> Outcome:
        """What a detector finds; nothing where it is a plug-in and raises, or finds what no report can hold."""
        kind = detector.kind
        if kind not in self._plugins:
            return detector.detect(view, earlier)
        if not self.failed(kind):
            try:
                return self._checked(detector, view, detector.detect(view, earlier))
            except (Exception, SystemExit) as error:
                self._plugins[kind] = self._plugins[kind].failed(error)
        return Outcome(kind)

    def _checked(self, detector: Detector, view: View, made: object) -> Outcome:
        """An outcome that a report can hold, as it will be read from its file; raises what is wrong with it."""
        if not isinstance(made, Outcome) or made.kind != detector.kind:
            raise TypeError(f"it returned no Outcome of kind {detector.kind}")
        strange = [f.kind for f in made.findings if f.kind != detector.kind]
        if strange:
            raise ValueError(f"a finding of kind {strange[0]}")
        text = json.dumps(to_json(Findings({}, 0.05, 0, [], made.findings)), allow_nan=False)
        found = from_json(json.loads(text), detector.kind)
        shape = (view.scores.n_layers, view.scores.n_heads)
        found.refuse_strangers({view.scores.block: shape}, view.scores.task_names, detector.kind)
        for finding in found.findings:
            if detector.data is not None:
                TypeAdapter(detector.data).validate_python(finding.data)
            if not self._sentence(finding):
                raise ValueError("its sentence template writes nothing")
        return replace(made, findings=found.findings)

    def without_failed(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes without those of plug-ins that failed, and without what is said of their searches."""
        kept = [o for o in outcomes if not self.failed(o.kind)]
        return [
            replace(o, findings=[f for f in o.findings if not self.failed((f.data or {}).get("searched"))])
            for o in kept
        ]
