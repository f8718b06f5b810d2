"""Files: atomic writes, canonical JSON, safetensors and tidy tables of scores, and the manifest."""

import errno
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from reportgen.core.blocks import Blocks, as_blocks
from reportgen.core.plugins import plain, recorded_in
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task
from reportgen.core.user_cache import cache_folder
from reportgen.errors import InputError, MissingResourceError

SCORES = "scores.safetensors"
MOST_ATTACHED = 20_000_000  # bytes of scores files that a report's PDF carries
FORMAT = "reportgen/scores/1"
HALF = ".half"  # ends the name of a file that is being written; one that stays was a killed run's
LONGEST_NAME = 255  # bytes, of a file within a report, its folders' names included
MANIFEST = "reportgen/manifest/1"
REMAKE = "Make it again with `reportgen score` or `reportgen build`"


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a whole file or nothing: to a temporary neighbour, then rename."""
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=HALF)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def remove(path: Path) -> None:
    """Remove a file, if it is there; raises MissingResourceError where its folder does not allow it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> MissingResourceError:
    """What to tell where a file cannot be written or replaced: the disk is full, or the folder is not ours."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    hint = "Free space there, or choose another folder with -o; finished files are complete"
    return MissingResourceError(
        f"cannot write ({error.strerror})", str(path), hint if full else "Choose a writable folder with -o"
    )


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, the same in every process; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pretty_json(value: Any) -> str:
    """JSON for people: indented, keys in the given order, a final newline; NaN is refused."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def once(place: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """An ``object_pairs_hook`` of JSON that refuses an object which names a key twice."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if len(content) < len(items):
            twice = next(k for k in content if [name for name, _ in items].count(k) > 1)
            raise InputError(f"key {twice!r} stands twice", place, "Keep one of them")
        return content

    return pairs


def read_json(path: Path) -> Any:
    """A JSON file's content; raises InputError where it is missing or broken, or names a key twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text, object_pairs_hook=once(str(path)))
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode()  # half a character is a ValueError, here and not later
        return content
    except OSError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (ValueError, RecursionError) as error:  # also an integer of thousands of digits
        raise InputError(f"this is not JSON ({error})", str(path), "Mend or make the file again") from error


def sha256(data: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(value: Any) -> str:
    """A key that two equal JSON values share."""
    return sha256(canonical_json(value).encode())


def scores_bytes(scores: HeadScores | Sequence[HeadScores], key: str = "", methods: Sequence[str] = ()) -> bytes:
    """Scores of one method as safetensors: importance, examples and errors, and one metadata key for everything else.

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
        "tasks": [asdict(t) for t in first.tasks],
        "examples": [_described(e) for e in first.examples],
        "model": {**asdict(first.model), **_sizes(blocks)},
        "method": _without_nan(asdict(first.method)),
        "reduction": first.reduction,
        "seed": first.seed,
        "synthetic": first.synthetic,
        "block": None,
        "versions": first.versions,
    }
    meta |= {"blocks": [b.block for b in blocks]} if first.block else {}
    meta |= {"methods": list(methods)} if methods else {}
    meta |= {"plugins": plain(first.plugins)} if first.plugins else {}
    meta["sha256"] = _digest(meta, tensors)
    return save(tensors, metadata={"reportgen": canonical_json(meta)})


def _digest(meta: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """A hash of all that a scores file says, its own hash apart: a flipped bit is not read as a score."""
    found = hashlib.sha256(canonical_json({k: v for k, v in meta.items() if k != "sha256"}).encode())
    for name in sorted(tensors):
        found.update(canonical_json([name, str(tensors[name].dtype), list(tensors[name].shape)]).encode())
        found.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)  # no copy
    return found.hexdigest()


def _tensors(scores: HeadScores) -> dict[str, np.ndarray]:
    under = f"/{scores.block}" if scores.block else ""
    tensors = {f"importance{under}": np.ascontiguousarray(scores.importance)}
    for t, examples in enumerate(scores.examples):
        if examples is not None:
            tensors[f"examples{under}/{t}"] = np.ascontiguousarray(examples.values, np.float32)
            if examples.errors is not None:
                tensors[f"errors{under}/{t}"] = np.ascontiguousarray(examples.errors, np.float32)
    return tensors


def _described(examples: Examples | None) -> dict[str, Any] | None:
    if examples is None:
        return None
    return {
        "ids": list(examples.ids),
        "groups": list(examples.groups),
        "discovery": [bool(x) for x in examples.discovery],
        "ordered": examples.ordered,
    }


def _sizes(blocks: Blocks) -> dict[str, Any]:
    if blocks[0].block is None:
        return {"layers": blocks[0].n_layers, "heads": blocks[0].n_heads}
    return {"layers": {b.block: b.n_layers for b in blocks}, "heads": {b.block: b.n_heads for b in blocks}}


def _without_nan(method: dict[str, Any]) -> dict[str, Any]:
    """The method with what could not be computed as null, which is how JSON can say it."""

    def known(value: float | None) -> float | None:
        return None if value is None or not math.isfinite(value) else value

    said = {
        name: {check: {of: known(value) for of, value in found.items()} for check, found in method[name].items()}
        for name in ("diagnostics", "overall")
    }
    return {**method, **said}


def read_scores(path: Path) -> tuple[Blocks, str]:
    """A scores.safetensors, one HeadScores per block, and the key it was made under.

    Raises InputError where it is not one of ours.
    """
    tensors: dict[str, np.ndarray] = {}
    meta = _opened(path, tensors)
    # a file that another tool wrote, or an older version, need not carry a hash
    if "sha256" in meta and meta["sha256"] != _digest(meta, tensors):
        raise InputError("its bytes have changed since it was written (its hash does not fit)", str(path), REMAKE)
    try:
        names = meta.get("blocks") or [meta["block"]]
        return as_blocks([_scores_from(meta, tensors, name) for name in names]), meta["key"]
    except (KeyError, TypeError, IndexError, ValueError, ValidationError) as error:
        raise InputError(f"its metadata does not fit ({error})", str(path), REMAKE) from error


def stored_key(path: Path) -> str:
    """The key that a scores file says it was made under; of its numbers nothing is read.

    Raises InputError where it is not one of ours.
    """
    key = _opened(path).get("key")
    if not isinstance(key, str):
        raise InputError("its metadata does not fit (it names no key)", str(path), REMAKE)
    return key


def scored_together(path: Path) -> tuple[str, ...]:
    """The methods that were scored together with a scores file's own, first method first; () where it does not say."""
    methods = _opened(path).get("methods", [])
    return tuple(methods) if isinstance(methods, list) and all(isinstance(m, str) for m in methods) else ()


def _opened(path: Path, tensors: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """A scores file's metadata; its arrays are read into ``tensors`` where that is given."""
    try:
        with safe_open(path, framework="numpy") as file:
            meta, names = (file.metadata() or {}).get("reportgen"), list(file.keys())
            if tensors is not None:
                tensors |= {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"this is not a readable safetensors file ({error})", str(path), REMAKE) from error
    if meta is None or not any(name.partition("/")[0] == "importance" for name in names):
        raise InputError("this safetensors file holds no reportgen scores", str(path), REMAKE)
    try:
        content = json.loads(meta)
        canonical_json(content).encode()
    except ValueError as error:  # no JSON, or with half a character, which no file can hold
        raise InputError(f"its metadata does not fit ({error})", str(path), REMAKE) from error
    if not isinstance(content, dict):
        raise InputError("its metadata does not fit (it is no object)", str(path), REMAKE)
    return content


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
    )


def too_large(sizes: Mapping[str, int]) -> dict[str, int]:
    """Of scores files by name, with their sizes, those that a PDF has no room for.

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
    """The file of a method's scores among those of all methods, the first of which has the plain name."""
    return SCORES if method == methods[0] else f"scores-{method}.safetensors"


def write_methods(folder: Path, scored: Mapping[str, Blocks], key: str) -> None:
    """Write one file a method, the first method's last, so that where it stands all stand; remove those of others."""
    names = list(scored)
    for path in folder.glob("scores-*.safetensors"):
        if path.name not in [scores_file(name, names) for name in names]:
            remove(path)
    for name in reversed(names):
        write_atomic(folder / scores_file(name, names), scores_bytes(scored[name], key, names))


def read_methods(folder: Path) -> tuple[dict[str, Blocks], str]:
    """All scores of a folder by method, the first method first, and the one key that they were made under.

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
    """The tidy table: task, layer, head, importance (and block, where named); nan for absent heads; every digit."""
    blocks = as_blocks(scores)
    parts = ["task,layer,head,importance" + (",block" if blocks[0].block else "") + "\n"]
    for block in blocks:
        cells = [f",{layer},{head}," for layer, head in np.ndindex(*block.present.shape)]
        end = f",{block.block}\n" if block.block else "\n"
        for name, values in zip(block.task_names, block.importance, strict=True):
            first, numbers = _csv_field(name), values.ravel().astype(str).tolist()
            # A whole map at once: a large model's table has a million rows.
            parts.append("".join([f"{first}{c}{n}{end}" for c, n in zip(cells, numbers, strict=True)]))
    return "".join(parts)


def _csv_field(text: str) -> str:
    import csv

    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([text, ""])  # alone, an empty field is written otherwise
    return out.getvalue()[:-1]


def manifest(folder: Path, **extra: Any) -> dict[str, Any]:
    """Hash and size of every file in the folder but the manifest itself, the PDF and hidden files; ``extra`` first."""
    left_out = {"manifest.json", "report.pdf", "ro-crate-metadata.json", "manifest.json.sig", "report.pdf.sig"}
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in left_out and not any(p.startswith(".") for p in name.split("/")):
            files[name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    return {"schema": MANIFEST, **extra, "files": files}


def checked_manifest(content: Any, place: str) -> dict[str, Any]:
    """A manifest.json's content; raises InputError for one of a newer version, and for what is none."""
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != MANIFEST:
        newer = isinstance(schema, str) and schema.startswith(MANIFEST.rpartition("/")[0])
        problem = f"a newer reportgen made it ({schema}; this one reads {MANIFEST})" if newer else "it is no manifest"
        raise InputError(problem, place, "Install that version" if newer else "Make the report again")
    files, versions = content.get("files"), content.get("versions", {})
    if (
        not isinstance(files, dict)
        or not all(isinstance(e, dict) for e in files.values())
        or type(versions) is not dict
    ):
        raise InputError("its lists of files and versions are damaged", place, "Make the report again")
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in name or "\\" in name:
            raise InputError(f"it lists {name!r}, which is outside the report", place, "Make the report again")
        if len(name.encode(errors="replace")) > LONGEST_NAME:  # the file system would not answer
            raise InputError(f"it lists a file whose name has {len(name)} letters", place, "Make the report again")
    for key in ("created", "reportgen"):
        if not isinstance(content.get(key), str):
            raise InputError(f"its {key!r} is no text", place, "Make the report again")
    return dict(content)


def cached(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from the user's cache, made and stored when missing or broken; no cache folder is no error."""
    path = cache_folder() / f"{name}.npy"
    try:
        stored: np.ndarray = np.load(path, allow_pickle=False)
        digest = path.with_suffix(".sha256").read_text()
        if digest == sha256(stored.tobytes()):
            return stored
    except (OSError, ValueError, EOFError):
        pass
    made = make()
    try:
        buffer = io.BytesIO()
        np.save(buffer, made)
        write_atomic(path, buffer.getvalue())
        write_atomic(path.with_suffix(".sha256"), sha256(made.tobytes()))
    except MissingResourceError:
        pass  # a read-only home costs a recomputation, nothing else
    return made
