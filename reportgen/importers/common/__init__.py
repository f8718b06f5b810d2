"""What an importer is: a file format made elsewhere, read into HeadScores; and what several of them share."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.plugins import Record, Registry
from reportgen.core.scores import (
    READ,
    Examples,
    Head,
    HeadScores,
    Method,
    Model,
    Reduction,
    Task,
    independent,
    reduce_examples,
    split_halves,
)
from reportgen.errors import InputError

SMALLEST = float(np.finfo(np.float32).smallest_subnormal)  # 1.4e-45: half of it and less would be stored as 0
VERY_SMALL = 1e-30  # of the largest score: far enough above 1.2e-38, below which numbers of 32 bits lose digits
MOST_NAMES = 2**24  # bytes: a graph of 64 layers × 64 heads names a few million edges' ends
MOST_HEADS = 512  # more in one layer is a flattened stack: Falcon-180B, the widest that is published, has 232


@dataclass(frozen=True)
class Importer(Record):
    """A plug-in: ``claims`` says from name and content whether a file is of this format, ``load`` reads it: one
    HeadScores, or one for each of an encoder-decoder's blocks. The first in order that claims a file reads it.
    ``axis``: a file may hold its axes in another order, which the study then says.
    """

    summary: str
    claims: Callable[[Path], bool]
    load: Callable[[Path, ScoresSection], HeadScores | Blocks]
    axis: bool = field(default=False, kw_only=True)


IMPORTERS = Registry("importers", Importer)


def known_formats() -> str:
    """Return the formats that are read, as a hint."""
    return "Known formats: " + "; ".join(f"{i.name}: {i.summary}" for i in IMPORTERS.known())


def unknown_file(path: Path, failed: Sequence[str] = ()) -> InputError:
    """Return the error for a file that holds nothing known: what was seen in it, and what is known."""
    if path.suffix.lower() in PICKLES:
        return InputError("a pickle runs code as it is read, and is never read", str(path), _unpickling(path))
    seen = "; ".join([seen_in(path), *failed])
    return InputError(f"no importer knows this file ({seen})", str(path), known_formats())


PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".dill")


def _unpickling(path: Path) -> str:
    library = "joblib" if path.suffix.lower() == ".joblib" else "pickle"
    opened = f"{path.name!r}" if library == "joblib" else f"open({path.name!r}, 'rb')"
    return (
        f"Where you trust it, turn it once into an array (layer, head):\n    import {library}, numpy\n"
        f"    scores = {library}.load({opened})\n    print(type(scores), numpy.shape(scores))\n"
        f"    numpy.save({path.stem + '.npy'!r}, numpy.asarray(scores, dtype=float))"
    )


def seen_in(path: Path) -> str:
    """Return what is in a file, in a few words."""
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        return "it is empty"
    kind = f"a {path.suffix} file" if path.suffix else "a file without extension"
    keys = _keys(path) if path.suffix.lower() == ".json" else None
    if keys is not None:
        return f"{kind} with the keys {', '.join(repr(k[:24]) for k in keys[:4])}{', …' if len(keys) > 4 else ''}"
    try:
        line = start.decode("utf-8-sig", "ignore" if len(start) == 4096 else "strict").split("\n")[0].rstrip()
    except UnicodeDecodeError:
        return f"{kind} starting with the bytes {start[:8].hex(' ')}"
    return f"{kind} starting {line[:40]!r}"


def _keys(path: Path) -> list[str] | None:
    """Return the keys of a JSON object, None where the file is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        return None
    return list(content) if isinstance(content, dict) and content else None


def beginning(path: Path, suffix: str) -> str:
    """Return the first characters of a text file of this suffix; none of another file, or of one that is no text."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(65536) if path.suffix.lower() == suffix else ""
    except (OSError, UnicodeDecodeError):
        return ""


def is_torch_graph(path: Path) -> bool:
    """Return whether torch saved a graph of nodes in the file, by the names in it; none of it is executed."""
    import zipfile

    if path.suffix.lower() != ".pt":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
            return any(b"src_nodes" in archive.read(entry) for entry in entries if entry.file_size < MOST_NAMES)
    except Exception:  # zipfile raises many kinds for a broken file
        return False


def lists_by_head(path: Path) -> bool:
    """Return whether a file is JSON whose first key reads layer-head and stands for a list."""
    return re.match(r'\s*\{\s*"\d+-\d+"\s*:\s*\[', beginning(path, ".json")) is not None


def model_of(section: ScoresSection, shape: tuple[int, ...]) -> Model:
    """Return what the section says of the model; raises InputError where it contradicts the scores' shape."""
    for name, stated, found in (("layers", section.layers, shape[1]), ("heads", section.heads, shape[2])):
        if stated is not None and stated != found:
            hint = "Correct the number in study.toml, or remove the key"
            raise InputError(f"{stated} {name} expected, but the file holds {found}", f"[scores] {name}", hint)
    if section.kv_groups is not None and shape[2] % section.kv_groups:
        problem = f"{section.kv_groups} key/value heads do not divide {shape[2]} heads"
        raise InputError(problem, "[scores] kv_groups", "Give the model's number of key/value heads")
    return Model(kv_groups=section.kv_groups)


def method_of(section: ScoresSection, default: str | Method) -> Method:
    """Return the method as the section names it, or by the importer's own name.

    A whole Method is what the format itself fixes; the section may rename it and its unit, but not turn unsigned
    scores into signed ones or back: that raises InputError.
    """
    if isinstance(default, str):
        return Method(section.method or default, unit=section.unit, signed=section.signed)
    if "signed" in section.model_fields_set and section.signed != default.signed:
        problem = f"this format's scores are {'' if default.signed else 'not '}signed"
        raise InputError(problem, f"[scores] signed = {str(section.signed).lower()}", "Remove the key")
    unit = section.unit if "unit" in section.model_fields_set else default.unit
    return replace(default, name=section.method or default.name, unit=unit)


def scores_from_examples(
    names: list[str],
    examples: list[Examples | None],
    importance: list[np.ndarray],
    section: ScoresSection,
    method: Method,
    reduction: Reduction | None = None,
) -> HeadScores:
    """Make HeadScores from per-task arrays: the mean over examples where there are any (of |·| for signed scores).

    ``reduction`` replaces that rule where a format has its own.
    """
    for name, e in zip(names, examples, strict=True):
        if e is not None:
            _refuse_partial(name, e)
    given = [m if e is None else e.values for m, e in zip(importance, examples, strict=True)]
    given, exponent, lost = _in_32_bits(given, section)
    importance = [m if e is None else m[0] for m, e in zip(given, examples, strict=True)]
    examples = [e and replace(e, values=m.astype(np.float32)) for e, m in zip(examples, given, strict=True)]
    examples = [e if e is None else independent(e, section.ordered) for e in examples]
    how = reduction or ("mean_abs" if method.signed and any(e is not None for e in examples) else "mean")
    maps = [
        reduce_examples(e.values, how) if e is not None else values
        for e, values in zip(examples, importance, strict=True)
    ]
    for name, values in zip(names, maps, strict=True):
        if values.shape != maps[0].shape:
            problem = f"{values.shape} layers × heads, but task {names[0]} has {maps[0].shape}"
            raise InputError(problem, f"task {name}", "Score every task on one model")
    tensor = np.stack(maps)
    model = model_of(section, tensor.shape)
    if exponent:
        method = replace(method, unit=f"{method.unit} × 10^{exponent}")
        told = f"{READ}the file's numbers times 10^{exponent}, as 32 bits hold none so small"
        model = replace(model, notes=[*model.notes, told])
    if lost:
        told = f"{READ}what is nearer to 0 than {SMALLEST:.1e} ({lost:,} of the numbers) as that, the least of 32 bits"
        model = replace(model, notes=[*model.notes, told])
    tasks = tuple(Task(n, n=None if e is None else len(e.ids)) for n, e in zip(names, examples, strict=True))
    return HeadScores(
        tensor,
        tasks,
        method,
        model,
        tuple(examples),
        reduction=how,
        synthetic=section.synthetic,
    )


def _in_32_bits(maps: list[np.ndarray], section: ScoresSection) -> tuple[list[np.ndarray], int, int]:
    """Return maps of which no number becomes 0 in 32 bits, by which power of ten they were multiplied, and how many
    numbers still had to be moved away from 0.

    All of them so small that their last bits would be lost are multiplied, so that the largest is from 1 to 10.
    """
    largest = max((float(np.nanmax(np.abs(m), initial=0)) for m in maps), default=0.0)
    exponent = -math.floor(math.log10(largest)) if 0 < largest < VERY_SMALL else 0
    if exponent and section.bounds is not None:
        problem = f"the largest score is {largest:.3g}, for which bounds say nothing"
        raise InputError(problem, "[scores] bounds", "Remove the key, or rescale the scores and the bounds")
    if exponent:
        maps = [m.astype(float) * 10.0 ** (exponent // 2) * 10.0 ** (exponent - exponent // 2) for m in maps]
    small = [(m != 0) & (np.abs(m) < SMALLEST) for m in maps]
    lost = int(sum(each.sum() for each in small))
    if lost:
        maps = [np.where(each, np.copysign(SMALLEST, m), m) for each, m in zip(small, maps, strict=True)]
    return maps, exponent, lost


def _refuse_partial(task: str, examples: Examples) -> None:
    """Refuse a head that is NaN in some examples only: a fault of the data, not a head that the model lacks."""
    missing = np.isnan(examples.values)
    for e, layer, head in np.argwhere(missing & ~missing.all(axis=0))[:1]:
        location = f"task {task}, example {examples.ids[e]}, {Head(int(layer), int(head))}"
        problem, hint = "importance is nan, but not in every example", "Give a finite number in every example"
        raise InputError(problem, location, hint)


def as_examples(values: np.ndarray, ids: list[str], ordered: bool, groups: Sequence[str] | None = None) -> Examples:
    """Return per-example scores, split in halves, with each example its own group where no groups are given."""
    own = tuple(groups or ids)
    return Examples(values, tuple(ids), own, split_halves(own, 0, ordered), ordered)


def scores_from_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], section: ScoresSection, method: Method
) -> HeadScores:
    """Make scores from named arrays, each (layer, head) or flat: one task an array, called by its name.

    A third axis comes first, and only ``[scores] axis`` can say what it is: the tasks of a sole array, or the examples
    of each. Numbers below zero make the method signed. Raises InputError where something has to be guessed.
    """
    locations = {name: str(path) if len(arrays) == 1 else f"{path}, {name}" for name in arrays}
    maps = {name: unfolded(numbers(array, locations[name]), section, locations[name]) for name, array in arrays.items()}
    deep = [name for name, array in maps.items() if array.ndim == 3]
    _check_axis(path, maps, deep, section)
    negative = any(bool((array < 0).any()) for array in maps.values())
    if section.axis == "task" and deep:
        maps = {f"Task {t}": values for t, values in enumerate(maps[deep[0]])}
    elif negative and deep and "signed" not in section.model_fields_set:
        hint = "Set it to true (importance is the mean over examples of |score|) or false (the mean of the scores)"
        raise InputError("there are scores below zero, and the file does not tell", "[scores] signed", hint)
    examples = [_examples(m) if m.ndim == 3 else None for m in maps.values()]
    signed = method.signed or ("signed" not in section.model_fields_set and negative)
    return scores_from_examples(list(maps), examples, list(maps.values()), section, replace(method, signed=signed))


def _examples(values: Float[np.ndarray, "example layer head"]) -> Examples:
    return as_examples(values, [str(i) for i in range(len(values))], ordered=False)


def _check_axis(path: Path, maps: Mapping[str, np.ndarray], deep: list[str], section: ScoresSection) -> None:
    if deep and section.axis is None:
        sole = len(maps) == 1
        problem = f"the file does not tell what the first axis of {maps[deep[0]].shape} is"
        hint = 'Give [scores] axis = "example"' + (' or "task"' if sole else " if it is examples")
        raise InputError(problem, str(path) if sole else f"{path}, {deep[0]}", hint)
    if section.axis is not None and not deep:
        raise InputError("no array of the file has a third axis", f'[scores] axis = "{section.axis}"', "Remove the key")
    if section.axis == "task" and len(maps) > 1:
        problem = f"the file's {len(maps)} named arrays are its tasks already"
        hint = 'Give axis = "example", or save one array (task, layer, head)'
        raise InputError(problem, '[scores] axis = "task"', hint)


def numbers(array: np.ndarray, location: str) -> Float[np.ndarray, "..."]:
    """Return the array in float64; raises InputError where it holds no numbers, or one beyond float32."""
    if array.dtype.kind not in "fiu" or not array.size:
        raise InputError(f"{array.dtype} of shape {array.shape} holds no scores", location, "Save an array of numbers")
    exact: np.ndarray = array.astype(float)
    for where in np.argwhere(np.abs(exact) > np.finfo(np.float32).max)[:1]:
        index = tuple(int(i) for i in where)
        hint = "Give finite numbers, or nan for a head the model lacks"
        raise InputError(f"{exact[index]:g} at {index} is no finite number (of 32 bits)", location, hint)
    return exact


def is_foreign_safetensors(path: Path) -> bool:
    """Return whether a file is safetensors that reportgen did not write: its header lacks our metadata."""
    from safetensors import SafetensorError, safe_open

    if path.suffix.lower() != ".safetensors":
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            return "reportgen" not in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def unfolded(
    array: Float[np.ndarray, "..."], section: ScoresSection, location: str
) -> Float[np.ndarray, "*first layer head"]:
    """Return the array as (layer, head) or (first, layer, head), a flat last axis unfolded by the section's numbers."""
    layers, heads, shape = section.layers, section.heads, array.shape
    if shape and layers and heads and shape[-2:] != (layers, heads) and shape[-1] == layers * heads:
        array = array.reshape(*shape[:-1], layers, heads)  # flat stacks hold layer 0's heads first
    if len(shape) == 1 and array.ndim == 1:
        size = f"are not {layers} layers × {heads} heads" if layers and heads else "do not tell layers from heads"
        hint = f"Give [scores] layers and heads, whose product is {shape[0]}"
        raise InputError(f"{shape[0]} numbers in one row {size}", location, hint)
    if array.ndim not in (2, 3):
        hint = "Save one array (layer, head) for each task, or (example, layer, head)"
        raise InputError(f"an array of shape {shape} is no map of layers × heads", location, hint)
    if array.shape[-1] > MOST_HEADS and heads is None:
        hint = "Give [scores] layers and heads if each row is a flat map, or heads if it is one layer"
        raise InputError(f"{array.shape[-1]} heads in one layer are hard to believe", location, hint)
    return array
