"""validation.json: what is written there, how it is read, and what its raw outcomes rest on."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.kinds import kind_of
from reportgen.core.schema import plain_of, read_plain
from reportgen.core.trials import TOP, Answers, RawControls, RawCurve, RawSet, RawTask, RawValidation, Validation
from reportgen.errors import InputError
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import read_json
from reportgen.validation.curves import LAYERS, NORM, RANDOM, knocked
from reportgen.validation.derive import derive
from reportgen.validation.sets import FoundSet, Index, found_sets, layers_of
from reportgen.validation.statistics import Sample

FILE = "validation.json"
# Decimals of log-probabilities and losses: what float32 holds of numbers between 1 and 10. They are rounded before
# anything is derived from them, so that the file gives the same verdicts as the run.
DIGITS = 6
APART = 2e-6  # how far two means of numbers so rounded may lie apart: half a last digit each, and as much again
LARGEST = 1e9  # log-probabilities and numbers of heads beyond it are no outcomes
HINT = "Make the file again with `reportgen build`"
# What no one can recompute without the model: whoever changes one of these must change all that hangs on it
ROOTS = (
    "validation.json: of every held-out example tried, whether the answer is right and its log-probability, with the "
    "model as it is, with every head at its mean, under every intervention on every set, and at every step of every "
    "knock-out curve",
    "validation.json: of every control set its heads, its loss and its accuracy, and of every example the mean loss "
    "over the control sets; how many control sets exist, how many layers further they reach, their activation norms",
    "validation.json: which examples of the held-out half were tried, what the runs cost, whether the answers were the "
    "model's own or a probe's, and how well a probe tells the tasks",
)
_ADAPTER = TypeAdapter(RawValidation)
_HEAD, _LAYER = re.compile(r"((?:(enc|dec|cross)\.)?L(\d{1,9}))H(\d{1,9})"), re.compile(r"((enc|dec|cross)\.)?L\d{1,9}")


def to_json(raw: RawValidation, derived: Validation) -> dict[str, Any]:
    """Return the file's content as plain JSON values: the raw outcomes, and the verdicts for other tools to read."""
    verdicts = {t.id: {"verdict": t.verdict, "specific": None, "robustness": None} for t in derived.trials}
    return {**plain_of(_ADAPTER, raw), "verdicts": verdicts}


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of validation.json: the raw outcomes, and the verdicts that follow from them."""
    schema: dict[str, Any] = _ADAPTER.json_schema(mode="serialization")
    verdict = {"type": "object", "required": ["verdict", "specific", "robustness"]}
    schema["properties"]["verdicts"] = {"type": "object", "additionalProperties": verdict}
    return schema


def folded_json(value: object) -> str:
    """JSON for people, a final newline: what holds only plain values and lists of them stands on one line."""
    return "".join(_folded(value, "\n")) + "\n"


def _folded(value: object, start: str) -> Iterator[str]:
    parts = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    lists = [part for part in parts if isinstance(part, list)]
    if not any(isinstance(part, dict) for part in parts) and not any(
        isinstance(each, list | dict) for some in lists for each in some
    ):
        yield json.dumps(value, ensure_ascii=False, allow_nan=False)
        return
    names = (
        [f"{json.dumps(name, ensure_ascii=False)}: " for name in value]
        if isinstance(value, dict)
        else [""] * len(parts)
    )
    yield "{" if isinstance(value, dict) else "["
    for i, (name, part) in enumerate(zip(names, parts, strict=True)):
        yield f"{',' if i else ''}{start} {name}"
        yield from _folded(part, f"{start} ")
    yield f"{start}{'}' if isinstance(value, dict) else ']'}"


def from_json(plain: object, location: str = "validation.json") -> RawValidation:
    """Read the raw outcomes; what else the file says is not looked at.

    Raises InputError with the field that does not fit, and for the format of reportgen 0.1.0, which kept verdicts and
    not the outcomes that they follow from.
    """
    if isinstance(plain, dict) and plain.get("schema") == "reportgen/validation/1":
        problem = "schema: reportgen/validation/1 holds no raw outcomes that verdicts could be derived from"
        hint = "Install the version that made it, `pip install reportgen==0.1.0`, or make the report again"
        raise InputError(problem, location, hint)
    if isinstance(plain, dict):
        plain = {name: value for name, value in plain.items() if name != "verdicts"}
    raw = read_plain(_ADAPTER, plain, location, "build")
    if raw.problem is None:
        for field, problem in _faults(raw):
            raise InputError(f"{field}: {problem}", location, HINT)
    return raw


def _faults(raw: RawValidation) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together, each with its field."""
    yield from _setting_faults(raw)
    yield from _twice("tasks", [task.name for task in raw.tasks])
    yield from _twice("sets", [each.id for each in raw.sets])
    for i, task in enumerate(raw.tasks):
        yield from _task_faults(f"tasks.{i}", task)
    found = {head for each in raw.sets for head in each.heads}
    for i, each in enumerate(raw.sets):
        yield from _set_faults(f"sets.{i}", each, raw)
        if each.controls is not None:
            yield from _control_faults(f"sets.{i}.controls", each, each.controls, found, raw)
    yield from _curves_faults(raw)


def _setting_faults(raw: RawValidation) -> Iterator[tuple[str, str]]:
    if not 0 < raw.alpha < 1:
        yield "alpha", f"{raw.alpha:g} is no level of a test"
    if not 0 <= raw.margin <= 1:
        yield "margin", f"{raw.margin:g} is no share"
    if not 0 <= raw.controls <= LARGEST:
        yield "controls", f"{raw.controls} is no number of control sets"
    if raw.cost is None or not (raw.cost.ablation > 0 and raw.cost.runs >= 0 and raw.cost.budget > 0):
        yield "cost", "it gives no runs of this validation and of zero ablation, and no budget"
    for layer, heads in raw.layers.items():
        if not _LAYER.fullmatch(layer) or not 0 < heads <= LARGEST:
            yield f"layers.{layer}", f"{heads} heads are none of a layer, or this is no layer's name (L0, enc.L0)"
    if not raw.layers:
        yield "layers", "there are none"
    if not raw.tasks:
        yield "tasks", "there are none"


def _twice(field: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, count in Counter(names).items():
        if count > 1:
            yield field, f"{name!r} stands {count} times"


def _task_faults(field: str, task: RawTask) -> Iterator[tuple[str, str]]:
    n = len(task.examples)
    if not n:
        yield f"{field}.examples", "there are none"
    yield from _twice(f"{field}.examples", task.examples)
    if len(task.groups) != n:
        yield f"{field}.groups", f"{len(task.groups)} groups of {n} examples"
    if task.chance is not None and not 0 <= task.chance <= 1:
        yield f"{field}.chance", f"{task.chance:g} is no share of right answers"
    yield from _answer_faults(f"{field}.intact", task.intact, n)
    yield from _answer_faults(f"{field}.floor", task.floor, n)


def _answer_faults(field: str, answers: Answers, n: int) -> Iterator[tuple[str, str]]:
    if len(answers.right) != n or set(answers.right) - {"0", "1"}:
        yield f"{field}.right", f"it is no row of {n} digits, 1 for a right answer and 0 for a wrong one"
    if len(answers.log_probability) != n:
        yield f"{field}.log_probability", f"{len(answers.log_probability)} numbers for {n} examples"
    for value in answers.log_probability:
        if not -LARGEST <= value <= 0:
            yield f"{field}.log_probability", f"{value:g} is the logarithm of no probability"


def _set_faults(field: str, each: RawSet, raw: RawValidation) -> Iterator[tuple[str, str]]:
    known = {task.name: len(task.examples) for task in raw.tasks}
    if each.kind != TOP and not kind_of(each.kind).tried:
        yield f"{field}.kind", f"{each.kind!r} is no kind of set"
    yield from _head_faults(f"{field}.heads", each.heads, raw)
    yield from _twice(f"{field}.tasks", each.tasks)
    if not each.tasks or not {*each.tasks} <= known.keys():
        yield f"{field}.tasks", "they are none of the file's tasks"
        return
    own = {name: known[name] for name in each.tasks}
    if [*each.amplified] != [*raw.sets[0].amplified] or not all(
        re.fullmatch(r"\d+(\.\d+)?", f) for f in each.amplified
    ):
        yield f"{field}.amplified", "its factors are no numbers, or not those of the first set"
    yield from _by_task_faults(f"{field}.mean", each.mean, known)
    yield from _by_task_faults(f"{field}.zero", each.zero, own)
    yield from _by_task_faults(f"{field}.kept", each.kept, own)
    for factor, answers in each.amplified.items():
        yield from _by_task_faults(f"{field}.amplified.{factor}", answers, own)


def _by_task_faults(field: str, answers: Mapping[str, Answers], wanted: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    if answers.keys() != wanted.keys():
        yield field, f"it has to give the answers on {', '.join(map(repr, wanted))}"
        return
    for name, n in wanted.items():
        yield from _answer_faults(f"{field}.{name}", answers[name], n)


def _head_faults(field: str, heads: Sequence[str], raw: RawValidation) -> Iterator[tuple[str, str]]:
    yield from _twice(field, heads)
    if not heads:
        yield field, "there are none"
    for head in heads:
        match = _HEAD.fullmatch(head)
        if match is None or int(match[4]) >= raw.layers.get(match[1], 0):
            yield field, f"{head!r} is no head of the model"


def _control_faults(
    field: str, each: RawSet, controls: RawControls, found: set[str], raw: RawValidation
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong: controls are distinct, touch no found head, come from the set's layers or near ones, and
    agree on their mean.
    """
    if len(controls.sets) > controls.distinct or controls.widened < 0:
        yield f"{field}.distinct", f"{controls.distinct} sets of up to {controls.widened} layers further cannot be"
    seen = set[frozenset[str]]()
    for i, control in enumerate(controls.sets):
        location = f"{field}.sets.{i}"
        yield from _head_faults(f"{location}.heads", control.heads, raw)
        if found & {*control.heads} or frozenset(control.heads) in seen:
            yield f"{location}.heads", "they hold a found head, or stand twice"
        if not _near(each.heads, control.heads, controls.widened):
            yield f"{location}.heads", f"they do not match the set's within {controls.widened} layers"
        seen.add(frozenset(control.heads))
        if not 0 <= control.accuracy <= 1 or abs(control.loss) > LARGEST:
            yield location, "its loss and accuracy are no outcomes"
    groups = [task.groups for name in each.tasks for task in raw.tasks if task.name == name]
    if len(controls.mean_loss) != (sum(map(len, groups)) if controls.sets else 0):
        yield f"{field}.mean_loss", "it has to give one number for every example, and none without control sets"
    elif controls.sets:
        over_examples = float(Sample.of(groups).mean(np.array(controls.mean_loss)))
        over_sets = float(np.mean([control.loss for control in controls.sets]))
        if not math.isclose(over_examples, over_sets, rel_tol=1e-9, abs_tol=APART):
            yield f"{field}.mean_loss", f"its mean is {over_examples:g}, that of the control sets' losses {over_sets:g}"


def _near(heads: Sequence[str], others: Sequence[str], reach: int) -> bool:
    """Whether each head can stand for one of the others' from a layer of the same block at most so far away."""
    pairs = zip(sorted(map(_layer, heads)), sorted(map(_layer, others)), strict=False)
    return len(heads) == len(others) and all(a[0] == b[0] and abs(a[1] - b[1]) <= reach for a, b in pairs)


def _layer(head: str) -> tuple[str, int]:
    match = _HEAD.fullmatch(head)
    return ("", -1) if match is None else (match[2] or "", int(match[3]))


def _curves_faults(raw: RawValidation) -> Iterator[tuple[str, str]]:
    known, steps = {task.name: len(task.examples) for task in raw.tasks}, len(knocked(raw.heads)) - 1
    orders = list(dict.fromkeys(curve.order for curve in raw.curves))
    wanted = {(task, order) for task in known for order in orders}
    if not {RANDOM, LAYERS, NORM} <= {*orders} or Counter((c.task, c.order) for c in raw.curves) != Counter(wanted):
        yield "curves", f"there has to be one of every task and order, among them {RANDOM}, {LAYERS} and {NORM}"
        return
    for i, curve in enumerate(raw.curves):
        yield from _curve_faults(f"curves.{i}.runs", curve, steps, known[curve.task])


def _curve_faults(field: str, curve: RawCurve, steps: int, n: int) -> Iterator[tuple[str, str]]:
    if not curve.runs or {len(run) for run in curve.runs} != {steps}:
        yield field, f"every run has to have {steps} steps"
    for r, run in enumerate(curve.runs):
        for k, answers in enumerate(run):
            yield from _answer_faults(f"{field}.{r}.{k}", answers, n)


def refuse_other_scores(raw: RawValidation, blocks: Blocks, location: str) -> None:
    """Raise InputError where the tasks or the heads are not those of the scores."""
    if raw.problem is None:
        if [task.name for task in raw.tasks] != [*blocks[0].task_names]:
            raise InputError("tasks: they are not those of the scores", location, HINT)
        if raw.layers != {layer.name: layer.heads for layer in layers_of(blocks)}:
            raise InputError("layers: the heads are not those of the scores", location, HINT)


def disagreements(raw: RawValidation, findings: Findings, methods: Mapping[str, Blocks], study: Study) -> list[str]:
    """Return what the file says that does not follow from the scores, the findings and the study, although it should.

    ``findings`` are those of the analysis, or the same with verdicts; ``methods`` the scores by method, the first
    method first. Empty where all agrees.
    """
    asked = {
        "scores": (raw.scores, findings.scores),
        "alpha": (raw.alpha, findings.apart),
        "margin": (raw.margin, study.analysis.margin),
        "controls": (raw.controls, study.validation.controls),
        "seed": (raw.seed, study.scoring.seed),
        "positions": (raw.positions, study.scoring.positions),
    }
    differences = [
        f"{name} is {found!r}, and should be {wanted!r}" for name, (found, wanted) in asked.items() if found != wanted
    ]
    if raw.problem is not None:
        return differences
    if raw.cost is not None and raw.cost.budget != study.validation.budget:
        differences.append(f"cost.budget is {raw.cost.budget!r}, and should be {study.validation.budget!r}")
    orders = list(dict.fromkeys([*methods, NORM, RANDOM, LAYERS]))
    if (found := list(dict.fromkeys(curve.order for curve in raw.curves))) != orders:
        differences.append(f"curves: their orders are {found!r}, and should be {orders!r}")
    blocks = next(iter(methods.values()))
    return [
        *differences,
        *_other_tasks(raw, findings, blocks, study.tasks.control),
        *_other_sets(raw, findings, blocks),
    ]


def _other_tasks(raw: RawValidation, findings: Findings, blocks: Blocks, control: str | None) -> Iterator[str]:
    """Tasks whose examples, chance or competence are not the scores'."""
    for task, described, examples in zip(raw.tasks, blocks[0].tasks, blocks[0].examples, strict=True):
        chance = described.chance if raw.readout == "answer" else 1 / len(raw.tasks)
        if task.chance != chance:
            yield f"task {task.name}: chance is {task.chance!r}, and should be {chance!r}"
        judged = [f for f in findings.by_task(task.name) if kind_of(f.kind).performance]
        weak = task.name != control and any("at-chance" in f.caveats for f in judged)
        if (judged or task.name == control) and task.at_chance != weak:
            yield f"task {task.name}: whether it is at chance is not what the findings say"
        if examples is not None:
            held_out = {
                i: g for i, g, found in zip(examples.ids, examples.groups, examples.discovery, strict=True) if not found
            }
            if not {*zip(task.examples, task.groups, strict=True)} <= held_out.items():
                yield f"task {task.name}: its examples are not of the held-out half"


def _other_sets(raw: RawValidation, findings: Findings, blocks: Blocks) -> Iterator[str]:
    """Yield the sets that are not those that the findings name, or the tasks' first heads."""
    here = {each.id: each for each in raw.sets}
    for wanted in found_sets(findings, Index(layers_of(blocks), blocks)):
        found = here.pop(wanted.id, None)
        if found is None:
            yield f"set {wanted.id} is missing"
        elif _identity(found) != _wanted(wanted, blocks):
            yield f"set {wanted.id}: its kind, tasks or heads are not those that were found"
    for name in here:
        yield f"set {name} is none that was found"


def _identity(each: RawSet) -> tuple[object, ...]:
    return each.kind, tuple(each.tasks), each.held_out, _ordered(each.kind, each.heads)


def _wanted(each: FoundSet, blocks: Blocks) -> tuple[object, ...]:
    return each.kind, tuple(blocks[0].task_names[t] for t in each.tasks), each.held_out, _ordered(each.kind, each.names)


def _ordered(kind: str, heads: Iterable[str]) -> list[str]:
    """Heads as they are compared: a task's first ones in their order, others in any, for the scores do not tell in
    which order an encoder-decoder runs its layers.
    """
    return [*heads] if kind == TOP else sorted(heads)


def read(path: Path, blocks: Blocks) -> RawValidation:
    """Read the outcomes of a file; raises InputError for a missing or damaged one, and for other tasks or heads."""
    raw = from_json(read_json(path), str(path))
    refuse_other_scores(raw, blocks, str(path))
    return raw


def write(path: Path, raw: RawValidation) -> RawValidation:
    """Write the outcomes with what follows from them, where the file holds anything else; return them."""
    content = folded_json(to_json(raw, derive(raw))).encode()
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)
    return raw


def read_validation(folder: Path, findings: Findings) -> Validation | None:
    """All that follows from the outcomes that the folder's findings carry the verdicts of; None where there are none.

    Raises InputError for a damaged file.
    """
    if not any(f.verdict for f in findings.findings) or not (folder / FILE).is_file():
        return None
    raw = from_json(read_json(folder / FILE), str(folder / FILE))
    return derive(raw) if raw.scores == findings.scores else None


def recorded_differences(folder: Path) -> list[str]:
    """Return what the folder's validation.json says beside its raw outcomes and does not follow from them, one line
    each.

    Empty where all follows, and where there is no such file. Raises InputError for a damaged one.
    """
    if not (folder / FILE).is_file():
        return []
    plain = read_json(folder / FILE)
    raw = from_json(plain, str(folder / FILE))
    again = to_json(raw, derive(raw))
    stored = plain.get("verdicts")
    stored, derived = stored if isinstance(stored, dict) else {}, again["verdicts"]
    differences = [
        f"verdicts.{name}: {stored.get(name)!r} is recorded, {derived.get(name)!r} follows from the outcomes"
        for name in derived | stored
        if stored.get(name) != derived.get(name)
    ]
    if not differences and (folder / FILE).read_text(encoding="utf-8") != folded_json(again):
        differences.append("it is not written as its own outcomes are")
    return differences


def recorded_disagreements(folder: Path, findings: Findings, methods: Mapping[str, Blocks], study: Study) -> list[str]:
    """Return what the folder's validation.json says of sets, examples and settings and does not follow from the scores,
    the findings and the study, one line each; empty where all follows, and where there is no such file.

    ``methods`` are the scores by method, the first method first. Raises InputError for a damaged file, and for one of
    other tasks or heads.
    """
    if not (folder / FILE).is_file():
        return []
    raw = from_json(read_json(folder / FILE), str(folder / FILE))
    refuse_other_scores(raw, next(iter(methods.values())), str(folder / FILE))
    return disagreements(raw, findings, methods, study)
