"""validation.json: what is written there, how it is read, and what its raw outcomes rest on."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter

from reportgen.core.blocks import Blocks
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.findings import to_json as findings_json
from reportgen.core.kinds import kind_of
from reportgen.core.schema import plain_of, read_plain
from reportgen.core.trials import TOP, Answers, RawControls, RawCurve, RawSet, RawTask, RawValidation, Trials
from reportgen.errors import InputError
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import read_json
from reportgen.validation.curves import LAYERS, NORM, RANDOM, knocked
from reportgen.validation.derive import WORDS
from reportgen.validation.sets import FoundSet, Index, found_sets, layers_of
from reportgen.validation.statistics import core_of, margin_of

FILE = "validation.json"
# Decimals of log-probabilities and losses: what float32 holds of numbers between 1 and 10. They are rounded before
# anything is derived from them, so that the file gives the same verdicts as the run.
DIGITS = 6
LARGEST = 1e9  # log-probabilities and numbers of heads beyond it are no outcomes
HINT = "Make the file again with `reportgen build`"
# What no one can recompute without the model: whoever changes one of these must change all that hangs on it
ROOTS = (
    "validation.json: of every held-out example tried, whether the answer is right and its log-probability, with the "
    "model as it is, with every head at its mean, under every intervention on every set, and at every step of every "
    "knock-out curve",
    "validation.json: of every other set that a found one is held against its heads, its accuracy, and its loss on "
    "every example; of every head alone its losses, and of every subset of a found set its loss on discovery rows",
    "validation.json: which examples of the held-out half were tried, what the runs cost, whether the answers were the "
    "model's own or a probe's, how well a probe tells the tasks, what the answers are worth by guessing, and how "
    "much of its attention a head pays to the first token",
)
_ADAPTER = TypeAdapter(RawValidation)
_HEAD, _LAYER = re.compile(r"((?:(enc|dec|cross)\.)?L(\d{1,9}))H(\d{1,9})"), re.compile(r"((enc|dec|cross)\.)?L\d{1,9}")


def to_json(trials: Trials) -> dict[str, Any]:
    """Return the file's content as plain JSON values: the raw outcomes, and for other tools what follows from them, the
    verdicts and the findings that only interventions give.

    ``trials`` are findings joined with what follows from the outcomes that they hold.
    """
    assert trials.outcomes is not None
    verdicts = {
        f.id: {
            "verdict": f.verdict,
            "specific": f.specific,
            "robustness": None if f.robustness is None else {**vars(f.robustness), "fails": [*f.robustness.fails]},
        }
        for f in trials.findings.findings
        if f.verdict is not None
    }
    own = [f for f in trials.findings.findings if kind_of(f.kind).apart]
    findings = findings_json(replace(trials.findings, findings=own))["findings"]
    return {**plain_of(_ADAPTER, trials.outcomes), "verdicts": verdicts, "findings": findings}


def json_schema() -> dict[str, object]:
    """Return the JSON Schema of validation.json: the raw outcomes, and the verdicts that follow from them."""
    schema: dict[str, Any] = _ADAPTER.json_schema(mode="serialization")
    verdict = {"type": "object", "required": ["verdict", "specific", "robustness"]}
    schema["properties"]["verdicts"] = {"type": "object", "additionalProperties": verdict}
    schema["properties"]["findings"] = {"type": "array", "items": {"type": "object", "required": ["id", "kind"]}}
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


DERIVED = ("verdicts", "findings")  # what stands in the file for other tools, and follows from the rest
OLDER = {
    "reportgen/validation/1": "holds no raw outcomes that verdicts could be derived from",
    "reportgen/validation/2": "holds control sets of other layers, and no outcomes of resample ablation",
}


def from_json(plain: object, location: str = "validation.json") -> RawValidation:
    """Read the raw outcomes; what else the file says is not looked at.

    Raises InputError with the field that does not fit, and for the formats of earlier versions, which lack outcomes
    that verdicts rest on.
    """
    if isinstance(plain, dict) and (schema := plain.get("schema")) in OLDER:
        hint = "Make it again with `reportgen validate`, or read it with the version that made it"
        raise InputError(f"schema: {schema} {OLDER[str(schema)]}", location, hint)
    if isinstance(plain, dict):
        plain = {name: value for name, value in plain.items() if name not in DERIVED}
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
    yield from _twice("singles", [each.head for each in raw.singles])
    for i, task in enumerate(raw.tasks):
        yield from _task_faults(f"tasks.{i}", task)
    for i, each in enumerate(raw.sets):
        yield from _set_faults(f"sets.{i}", each, raw)
        yield from _core_faults(f"sets.{i}", each, raw)
        if each.controls is not None:
            yield from _control_faults(f"sets.{i}.controls", each, each.controls, raw)
    yield from _single_faults(raw)
    yield from _curves_faults(raw)


def _setting_faults(raw: RawValidation) -> Iterator[tuple[str, str]]:
    if not 0 < raw.alpha < 1:
        yield "alpha", f"{raw.alpha:g} is no level of a test"
    if not 0 <= raw.controls <= LARGEST:
        yield "controls", f"{raw.controls} is no number of control sets"
    for field, value in (("positions", raw.positions), ("elsewhere", raw.elsewhere)):
        if value not in WORDS and not (field == "elsewhere" and value is None):
            yield field, f"{value!r} is no choice of positions"
    if raw.cost is None or not (raw.cost.ablation > 0 and raw.cost.runs >= 0 and raw.cost.budget > 0):
        yield "cost", "it gives no runs of this validation and of zero ablation, and no budget"
    for layer, heads in raw.layers.items():
        if not _LAYER.fullmatch(layer) or not 0 < heads <= LARGEST:
            yield f"layers.{layer}", f"{heads} heads are none of a layer, or this is no layer's name (L0, enc.L0)"
    if not raw.layers:
        yield "layers", "there are none"
    for head, share in raw.first_token.items():
        if not 0 <= share <= 1:
            yield f"first_token.{head}", f"{share:g} is no share of attention"
    if not raw.tasks:
        yield "tasks", "there are none"
    if sum(task.neutral for task in raw.tasks) > 1:
        yield "tasks", "one alone is the control task"


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
    for name, value in (("guess", task.guess), ("discovery", task.discovery)):
        if value is not None and not -LARGEST <= value <= 0:
            yield f"{field}.{name}", f"{value:g} is the logarithm of no probability"
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
    neutral = {task.name: len(task.examples) for task in raw.tasks if task.neutral}
    yield from _by_task_faults(f"{field}.mean", each.mean, known)
    yield from _by_task_faults(f"{field}.zero", each.zero, own | neutral)
    yield from _by_task_faults(f"{field}.whole", each.whole, own)
    yield from _by_task_faults(f"{field}.kept", each.kept, own)
    for factor, answers in each.amplified.items():
        yield from _by_task_faults(f"{field}.amplified.{factor}", answers, own)
    if each.resample:
        yield from _drawn_faults(f"{field}.resample", each.resample, own)
    names = {"mean", "zero", *(["resample"] if each.resample else [])} if raw.elsewhere is not None else set()
    if each.elsewhere.keys() != names:
        yield f"{field}.elsewhere", f"it has to give {', '.join(sorted(names)) or 'nothing'}"
    for name, drawn in each.elsewhere.items():
        yield from _drawn_faults(f"{field}.elsewhere.{name}", drawn, own)


def _drawn_faults(
    field: str, drawn: Mapping[str, list[Answers]], wanted: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    draws = {len(answers) for answers in drawn.values()}
    if len(draws) != 1 or 0 in draws:
        yield field, "it has to give as many draws of every task, one at least"
        return
    for i in range(max(draws)):
        yield from _by_task_faults(f"{field}.{i}", {name: answers[i] for name, answers in drawn.items()}, wanted)


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


def _core_faults(field: str, each: RawSet, raw: RawValidation) -> Iterator[tuple[str, str]]:
    """Yield where the core is not what the subsets' losses make of the set."""
    tasks = [task for task in raw.tasks if task.name in each.tasks]
    for i, subset in enumerate(each.tried):
        if not {*subset.heads} <= {*each.heads} or not subset.heads or abs(subset.loss) > LARGEST:
            yield f"{field}.tried.{i}", "these are none of the set's heads, or the loss is no outcome"
            return
    worths = [task.discovery - (task.guess or 0) for task in tasks]
    losses = {frozenset(subset.heads): subset.loss for subset in each.tried}
    core, missing = core_of(losses, each.heads, fmean(map(margin_of, worths)))
    if missing:
        yield f"{field}.tried", f"the loss without {', '.join(h for h in each.heads if h not in missing[0])} is missing"
    elif core != each.core:
        yield f"{field}.core", f"{', '.join(core)} follow from the subsets that were tried"


def _control_faults(field: str, each: RawSet, controls: RawControls, raw: RawValidation) -> Iterator[tuple[str, str]]:
    """Yield what is wrong: control sets are distinct, share no head with the core and have its number in each layer."""
    if len(controls.sets) > controls.distinct:
        yield f"{field}.distinct", f"of {controls.distinct} sets {len(controls.sets)} cannot have been run"
    wanted, seen = Counter(map(_layer, each.core)), set[frozenset[str]]()
    n = sum(len(task.examples) for task in raw.tasks if task.name in each.tasks)
    for i, control in enumerate(controls.sets):
        location, heads = f"{field}.sets.{i}", frozenset(control.heads)
        yield from _head_faults(f"{location}.heads", control.heads, raw)
        if heads & {*each.core} or heads in seen:
            yield f"{location}.heads", "they hold a head of the core, or stand twice"
        if not controls.layers and Counter(map(_layer, control.heads)) != wanted:
            yield f"{location}.heads", "they are not as many of each layer as the core's"
        seen.add(heads)
        yield from _loss_faults(f"{location}.losses", control.losses, n)
        if not 0 <= control.accuracy <= 1:
            yield f"{location}.accuracy", f"{control.accuracy:g} is no share of right answers"


def _loss_faults(field: str, losses: Sequence[float], n: int) -> Iterator[tuple[str, str]]:
    if len(losses) != n:
        yield field, f"{len(losses)} numbers for {n} examples"
    if any(abs(loss) > LARGEST for loss in losses):
        yield field, "not all are losses of log-probability"


def _single_faults(raw: RawValidation) -> Iterator[tuple[str, str]]:
    known = {task.name: len(task.examples) for task in raw.tasks}
    for i, each in enumerate(raw.singles):
        yield from _head_faults(f"singles.{i}.head", [each.head], raw)
        if each.mean.keys() != known.keys() or each.zero.keys() != known.keys():
            yield f"singles.{i}", "it has to give the losses on every task"
            continue
        for name, n in known.items():
            yield from _loss_faults(f"singles.{i}.mean.{name}", each.mean[name], n)
            yield from _loss_faults(f"singles.{i}.zero.{name}", [each.zero[name]], 1)


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
        if task.neutral != (task.name == control):
            yield f"task {task.name}: whether it is the control task is not what the study says"
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


def write(path: Path, trials: Trials) -> None:
    """Write the outcomes with what follows from them, where the file holds anything else."""
    content = folded_json(to_json(trials)).encode()
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)


def outcomes_in(folder: Path, findings: Findings) -> RawValidation | None:
    """Return the outcomes that the folder holds of these findings; None where there are none, or they are of others.

    Raises InputError for a damaged file.
    """
    if not (folder / FILE).is_file():
        return None
    raw = from_json(read_json(folder / FILE), str(folder / FILE))
    blocks = findings.made_from.blocks
    if raw.scores != findings.scores:
        return None
    refuse_other_scores(raw, blocks, str(folder / FILE))
    return raw if raw.problem is not None or not [*_other_sets(raw, findings, blocks)] else None


def recorded_differences(folder: Path, trials: Trials) -> list[str]:
    """Return what the folder's validation.json says beside its raw outcomes and does not follow from them, one line
    each; ``trials`` are those that follow.

    Empty where all follows, and where there is no such file.
    """
    if not (folder / FILE).is_file():
        return []
    plain, again = read_json(folder / FILE), to_json(trials)
    differences = []
    for name, stored in ((name, plain.get(name)) for name in DERIVED):
        here, there = _by_id(stored), _by_id(again[name])
        differences += [
            f"{name}.{i}: {here.get(i)!r} is recorded, {there.get(i)!r} follows from the outcomes"
            for i in there | here
            if here.get(i) != there.get(i)
        ]
    if not differences and (folder / FILE).read_text(encoding="utf-8") != folded_json(again):
        differences.append("it is not written as its own outcomes are")
    return differences


def _by_id(stored: object) -> dict[str, object]:
    if isinstance(stored, list):
        return {str(each.get("id")) if isinstance(each, dict) else str(i): each for i, each in enumerate(stored)}
    return stored if isinstance(stored, dict) else {}


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
