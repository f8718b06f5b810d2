"""Files: atomic writes, canonical JSON, safetensors and tidy tables of scores, and the manifest."""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from reportgen.errors import InputError, MissingResourceError
from reportgen.scores import Examples, HeadScores, Method, Model, Task

SCORES = "scores.safetensors"
FORMAT = "reportgen/scores/1"


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a whole file or nothing: to a temporary neighbour, then rename."""
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise MissingResourceError(
            f"cannot write ({error.strerror})", str(path), "Choose a writable folder with -o"
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            mend = "Free space there, or choose another folder with -o; finished files are complete"
            raise MissingResourceError(f"cannot write ({error.strerror})", str(path), mend) from error
        raise


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


def read_json(path: Path, unique: bool = False) -> Any:
    """A JSON file's content; raises InputError where it is missing or broken, or (``unique``) names a key twice."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if unique and len(content) < len(items):
            twice = next(k for k in content if [name for name, _ in items].count(k) > 1)
            raise InputError(f"key {twice!r} stands twice", str(path), "Keep one of them")
        return content

    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=pairs)
    except OSError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
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


def scores_bytes(scores: HeadScores, key: str = "") -> bytes:
    """Scores as safetensors: importance, examples/<t>, and one metadata key holding everything else."""
    tensors = {"importance": np.ascontiguousarray(scores.importance)}
    described: list[dict[str, Any] | None] = []
    for t, examples in enumerate(scores.examples):
        if examples is None:
            described.append(None)
            continue
        tensors[f"examples/{t}"] = np.ascontiguousarray(examples.values.astype(np.float32))
        described.append({"ids": list(examples.ids), "groups": list(examples.groups),
                          "discovery": [bool(x) for x in examples.discovery], "ordered": examples.ordered})  # fmt: skip
    layers, heads = scores.n_layers, scores.n_heads
    meta = {
        "format": FORMAT, "key": key, "tasks": [asdict(t) for t in scores.tasks], "examples": described,
        "model": {**asdict(scores.model), "layers": layers, "heads": heads}, "method": asdict(scores.method),
        "reduction": scores.reduction, "seed": scores.seed, "synthetic": scores.synthetic, "block": scores.block,
        "versions": scores.versions,
    }  # fmt: skip
    return save(tensors, metadata={"reportgen": canonical_json(meta)})


def read_scores(path: Path) -> tuple[HeadScores, str]:
    """A scores.safetensors and the key it was made under; raises InputError where it is not one of ours."""
    mend = "Make it again with `reportgen score` or `reportgen build`"
    try:
        with safe_open(path, framework="numpy") as file:
            meta = (file.metadata() or {}).get("reportgen")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"this is not a readable safetensors file ({error})", str(path), mend) from error
    if meta is None or "importance" not in tensors:
        raise InputError("this safetensors file holds no reportgen scores", str(path), mend)
    try:
        return _scores_from(json.loads(meta), tensors)
    except (KeyError, TypeError, IndexError, json.JSONDecodeError, ValidationError) as error:
        raise InputError(f"its metadata does not fit ({error})", str(path), mend) from error


def _scores_from(meta: dict[str, Any], tensors: dict[str, np.ndarray]) -> tuple[HeadScores, str]:
    examples = tuple(
        None if e is None else Examples(tensors[f"examples/{t}"], tuple(e["ids"]), tuple(e["groups"]),
                                        np.array(e["discovery"], dtype=bool), e["ordered"])
        for t, e in enumerate(meta["examples"])
    )  # fmt: skip
    model = {k: v for k, v in meta["model"].items() if k not in ("layers", "heads")}
    scores = HeadScores(
        importance=tensors["importance"], examples=examples, reduction=meta["reduction"], seed=meta["seed"],
        tasks=TypeAdapter(tuple[Task, ...]).validate_python(meta["tasks"]),
        method=TypeAdapter(Method).validate_python(meta["method"]),
        model=TypeAdapter(Model).validate_python(model),
        synthetic=meta["synthetic"], block=meta["block"], versions=meta["versions"],
    )  # fmt: skip
    return scores, meta["key"]


def scores_csv(scores: HeadScores) -> str:
    """The tidy table: task, layer, head, importance; nan for absent heads; floats with every digit they need."""
    import csv

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["task", "layer", "head", "importance"])
    for t, name in enumerate(scores.task_names):
        for layer, head in np.ndindex(*scores.present.shape):
            writer.writerow([name, layer, head, str(scores.importance[t, layer, head])])
    return out.getvalue()


def manifest(folder: Path, **extra: Any) -> dict[str, Any]:
    """Hash and size of every file in the folder but the manifest itself, the PDF and hidden files; ``extra`` first."""
    left_out = {"manifest.json", "report.pdf", "ro-crate-metadata.json"}
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in left_out and not any(p.startswith(".") for p in name.split("/")):
            files[name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    return {"schema": "reportgen/manifest/1", **extra, "files": files}


def cached(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from the user's cache, made and stored when missing or broken; no cache folder is no error."""
    root = os.environ.get("REPORTGEN_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "reportgen"
    )
    path = Path(root).expanduser() / f"{name}.npy"
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
