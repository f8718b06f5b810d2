"""Scores as safetensors, one file a method, and as a tidy table."""

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from reportgen.core.blocks import TITLES, Blocks, as_blocks
from reportgen.core.plugins import plain, recorded_in
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task
from reportgen.errors import InputError
from reportgen.storage.files import remove, sha256, write_atomic
from reportgen.storage.json_files import canonical_json

SCORES = "scores.safetensors"
MOST_ATTACHED = 20_000_000  # bytes of scores files that a report's PDF carries; others it names, as README.md says
FORMAT = "reportgen/scores/1"
TYPES = ("F32", "F64", "F16")  # of numbers in a scores file, as safetensors calls them; we write the first
REMAKE = "Make it again with `reportgen score` or `reportgen build`"


def scores_bytes(scores: HeadScores | Sequence[HeadScores], key: str = "", methods: Sequence[str] = ()) -> bytes:
    """Write the scores of one method as safetensors: importance, examples and errors, and one metadata key for
    everything else.

    Heads in no block are the tensors ``importance``, ``examples/<t>`` and ``errors/<t>``, those of a named block
    ``importance/<block>``, ``examples/<block>/<t>`` and ``errors/<block>/<t>``. ``methods`` names all methods that were
    scored together, this one among them, the study's first method first.
    """
    blocks = as_blocks(scores)
    first, tensors = blocks[0], dict[str, np.ndarray]()
    for block in blocks:
        tensors |= _tensors(block)
    meta = {
        "format": FORMAT,
        "key": key,
        "tasks": [_task(t) for t in first.tasks],
        "examples": [_described(e) for e in first.examples],
        "model": {**asdict(first.model), **_sizes(blocks)},
        "method": _method(first.method),
        "reduction": first.reduction,
        "seed": first.seed,
        "synthetic": first.synthetic,
        "block": None,
        "versions": first.versions,
    }
    meta |= {"blocks": [b.block for b in blocks]} if first.block else {}
    meta |= {"rest": first.rest} if first.rest else {}
    meta |= {"methods": list(methods)} if methods else {}
    meta |= {"plugins": plain(first.plugins)} if first.plugins else {}
    meta["sha256"] = _digest(meta, tensors)
    return save(tensors, metadata={"reportgen": canonical_json(meta)})


def _task(task: Task) -> dict[str, object]:
    """Describe a task; ``argmax`` only where it is known, so that files say what they said before it was recorded."""
    described = asdict(task)
    return described if task.argmax is not None else {k: v for k, v in described.items() if k != "argmax"}


def _method(method: Method) -> dict[str, Any]:
    """Describe a method; ``ordinal`` only where it holds, so that files say what they said before it was recorded."""
    return {k: v for k, v in _without_nan(asdict(method)).items() if k != "ordinal" or v}


def _digest(meta: Mapping[str, object], tensors: Mapping[str, np.ndarray]) -> str:
    """Hash all that all that a scores file says, its own hash apart: a flipped bit is not read as a score."""
    found = hashlib.sha256(canonical_json({k: v for k, v in meta.items() if k != "sha256"}).encode())
    for name in sorted(tensors):
        found.update(canonical_json([name, str(tensors[name].dtype), list(tensors[name].shape)]).encode())
        found.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)  # no copy
    return found.hexdigest()


def _tensors(scores: HeadScores) -> dict[str, np.ndarray]:
    under = f"/{scores.block}" if scores.block else ""
    tensors = {f"importance{under}": np.ascontiguousarray(scores.importance)}
    if scores.unscored is not None:
        tensors[f"unscored{under}"] = np.ascontiguousarray(scores.unscored, np.float32)
    for t, examples in enumerate(scores.examples):
        if examples is not None:
            tensors[f"examples{under}/{t}"] = np.ascontiguousarray(examples.values, np.float32)
            if examples.errors is not None:
                tensors[f"errors{under}/{t}"] = np.ascontiguousarray(examples.errors, np.float32)
    return tensors


def _described(examples: Examples | None) -> dict[str, object] | None:
    if examples is None:
        return None
    return {
        "ids": list(examples.ids),
        "groups": list(examples.groups),
        "discovery": [bool(x) for x in examples.discovery],
        "ordered": examples.ordered,
    }


def _sizes(blocks: Blocks) -> dict[str, object]:
    if blocks[0].block is None:
        return {"layers": blocks[0].n_layers, "heads": blocks[0].n_heads}
    return {"layers": {b.block: b.n_layers for b in blocks}, "heads": {b.block: b.n_heads for b in blocks}}


def _without_nan(method: dict[str, Any]) -> dict[str, Any]:
    """Return the method with what could not be computed as null, which is how JSON can say it."""

    def known(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else value

    cleaned = {
        name: {check: {of: known(value) for of, value in found.items()} for check, found in method[name].items()}
        for name in ("diagnostics", "overall")
    }
    return {**method, **cleaned}


def read_scores(path: Path) -> tuple[Blocks, str]:
    """Read a scores.safetensors: one HeadScores per block, and the key it was made under.

    Raises InputError where it is not one of ours.
    """
    tensors: dict[str, np.ndarray] = {}
    meta = _opened(path, tensors)
    # a file that another tool wrote, or an older version, need not carry a hash
    if "sha256" in meta and meta["sha256"] != _digest(meta, tensors):
        raise InputError("its bytes have changed since it was written (its hash does not fit)", str(path), REMAKE)
    try:
        names = meta.get("blocks") or [meta["block"]]
        if len(names) > len(TITLES):
            raise ValueError(f"{len(names)} blocks")
        return as_blocks([_scores_from(meta, tensors, name) for name in names]), meta["key"]
    except (KeyError, TypeError, IndexError, ValueError, ValidationError) as error:
        raise InputError(f"its metadata does not fit ({error})", str(path), REMAKE) from error


def stored_key(path: Path) -> str:
    """Read the key that a scores file says it was made under; of its numbers nothing is read.

    Raises InputError where it is not one of ours.
    """
    key = _opened(path).get("key")
    if not isinstance(key, str):
        raise InputError("its metadata does not fit (it names no key)", str(path), REMAKE)
    return key


def scored_together(path: Path) -> tuple[str, ...]:
    """Read the methods that were scored together with a scores file's own, first method first; () where it does not
    say.
    """
    methods = _opened(path).get("methods", [])
    return tuple(methods) if isinstance(methods, list) and all(isinstance(m, str) for m in methods) else ()


def _opened(path: Path, tensors: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Read a scores file's metadata, and its arrays into ``tensors`` where that is no None."""
    try:
        with safe_open(path, framework="numpy") as file:
            meta, names = (file.metadata() or {}).get("reportgen"), list(file.keys())
            if tensors is not None:
                for name in names:
                    _refuse_type(path, name, file.get_slice(name).get_dtype())
                    tensors[name] = file.get_tensor(name)
    except FileNotFoundError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"this is not a readable safetensors file ({error})", str(path), REMAKE) from error
    if meta is None or not any(name.partition("/")[0] == "importance" for name in names):
        raise InputError("this safetensors file holds no reportgen scores", str(path), REMAKE)
    try:
        content = json.loads(meta)
        canonical_json(content).encode()
    except (ValueError, RecursionError) as error:  # no JSON, or with half a character, which no file can hold
        raise InputError(f"its metadata does not fit ({error})", str(path), REMAKE) from error
    if not isinstance(content, dict):
        raise InputError("its metadata does not fit (it is no object)", str(path), REMAKE)
    return content


def _refuse_type(path: Path, name: str, kind: str) -> None:
    """Refuse a tensor of a type that NumPy lacks, or that no importance has."""
    if kind not in TYPES:
        raise InputError(f"{name} in it is of type {kind}", str(path), f"Give numbers of a type of {', '.join(TYPES)}")


def _scores_from(meta: dict[str, Any], tensors: dict[str, np.ndarray], block: str | None) -> HeadScores:
    # files of one block were once written without its name in the tensors' names
    under = f"/{block}" if block and f"importance/{block}" in tensors else ""
    examples = tuple(
        None
        if e is None
        else Examples(
            tensors[f"examples{under}/{t}"],
            tuple(e["ids"]),
            tuple(e["groups"]),
            np.array(e["discovery"], dtype=bool),
            e["ordered"],
            tensors.get(f"errors{under}/{t}"),
        )
        for t, e in enumerate(meta["examples"])
    )
    model = {k: v for k, v in meta["model"].items() if k not in ("layers", "heads")}
    unscored = tensors.get(f"unscored{under}")
    return HeadScores(
        importance=tensors[f"importance{under}"],
        examples=examples,
        reduction=meta["reduction"],
        seed=meta["seed"],
        tasks=TypeAdapter(tuple[Task, ...]).validate_python(meta["tasks"]),
        method=TypeAdapter(Method).validate_python(meta["method"]),
        model=TypeAdapter(Model).validate_python(model),
        synthetic=meta["synthetic"],
        block=block,
        versions=meta["versions"],
        plugins=recorded_in(meta),
        unscored=None if unscored is None else unscored.astype(bool),
        rest=meta.get("rest"),
    )


def too_large(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return, of scores files by name with their sizes in bytes, those that a PDF has no room for.

    Those that fit into ``MOST_ATTACHED`` bytes together are attached, the first method's before all others.
    """
    left_out, room = dict[str, int](), MOST_ATTACHED
    for name in sorted(sizes, key=lambda name: (name != SCORES, name)):
        if sizes[name] > room:
            left_out[name] = sizes[name]
        else:
            room -= sizes[name]
    return left_out


def scores_file(method: str, methods: Sequence[str]) -> str:
    """Return the file of a method's scores among those of all methods, the first of which has the plain name."""
    return SCORES if method == methods[0] else f"scores-{method}.safetensors"


def write_methods(folder: Path, scored: Mapping[str, Blocks], key: str) -> None:
    """Write one file a method, the first method's last, so that where it stands all stand; remove those of others."""
    names = list(scored)
    for path in folder.glob("scores-*.safetensors"):
        if path.name not in [scores_file(name, names) for name in names]:
            remove(path)
    for name in reversed(names):
        write_atomic(folder / scores_file(name, names), scores_bytes(scored[name], key, names))


def hashes_of(methods: Mapping[str, Blocks], key: str) -> dict[str, str]:
    """Return the sha256 of the files that ``write_methods`` would write, by name, the first method's first."""
    names = list(methods)
    found = {scores_file(name, names): sha256(scores_bytes(methods[name], key, names)) for name in names}
    return dict(sorted(found.items(), key=lambda item: (item[0] != SCORES, item[0])))


def read_methods(folder: Path) -> tuple[dict[str, Blocks], str]:
    """Read all scores of a folder by method, the first method first, and the one key that they were made under.

    Which there must be is what the first method's file says: scoring may add controls that no study names. Raises
    InputError where one is missing, damaged or made under another key.
    """
    names = scored_together(folder / SCORES)
    files = [scores_file(name, names) for name in names]
    if not names:  # a file that does not say: those beside it
        files = [SCORES, *sorted(path.name for path in folder.glob("scores-*.safetensors"))]
    read = [read_scores(folder / file) for file in files]
    if len({key for _, key in read}) > 1:
        raise InputError("the scores of its methods were not made together", str(folder), REMAKE)
    return {blocks[0].method.name: blocks for blocks, _ in read}, read[0][1]


def scores_csv(scores: HeadScores | Sequence[HeadScores]) -> str:
    """Write the tidy table: task, layer, head, importance (and block, where named); nan where there is no head, no row
    where it was not scored.
    """
    blocks = as_blocks(scores)
    parts = ["task,layer,head,importance" + (",block" if blocks[0].block else "") + "\n"]
    for block in blocks:
        there = np.ones(block.present.shape, dtype=bool) if block.unscored is None else ~block.unscored
        cells = [f",{layer},{head}," for layer, head in np.argwhere(there).tolist()]
        end = f",{block.block}\n" if block.block else "\n"
        for name, values in zip(block.task_names, block.importance, strict=True):
            first, numbers = _csv_field(name), values[there].astype(str).tolist()
            # A whole map at once: a large model's table has a million rows.
            parts.append("".join([f"{first}{c}{n}{end}" for c, n in zip(cells, numbers, strict=True)]))
    return "".join(parts)


def tidy_csv(scores: HeadScores | Sequence[HeadScores]) -> str:
    """Write the tidy table with a row for each example, and its group, where all tasks have them; else ``scores_csv``.

    Read again, it gives the same scores.
    """
    blocks = as_blocks(scores)
    if any(e is None for e in blocks[0].examples):
        return scores_csv(blocks)
    parts = ["task,example,group,layer,head,importance" + (",block" if blocks[0].block else "") + "\n"]
    for block in blocks:
        there = block.present
        cells = [f",{layer},{head}," for layer, head in np.argwhere(there).tolist()]
        end = f",{block.block}\n" if block.block else "\n"
        for name, examples in zip(block.task_names, block.examples, strict=True):
            assert examples is not None, "every task has examples"
            for values, example, group in zip(examples.values, examples.ids, examples.groups, strict=True):
                first, numbers = ",".join(map(_csv_field, (name, example, group))), values[there].astype(str).tolist()
                parts.append("".join([f"{first}{c}{n}{end}" for c, n in zip(cells, numbers, strict=True)]))
    return "".join(parts)


def _csv_field(text: str) -> str:
    import csv

    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([text, ""])  # alone, an empty field is written otherwise
    return out.getvalue()[:-1]
