"""Units of scoring: the result of one method on one task, kept in a file so that a broken run can be resumed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from reportgen.scoring.metrics import Baseline
from reportgen.store import canonical_json, sha256, write_atomic


@dataclass(frozen=True)
class UnitScores:
    """Signed scores of one method on one task in file order (absent heads NaN), and the unchanged model's baseline
    (None: it was not asked for an answer). ``errors`` and ``checks`` as in ``BatchScores``.
    """

    values: Float[np.ndarray, "example site head"]
    baseline: Baseline | None
    errors: Float[np.ndarray, "example site head"] | None = None
    checks: Mapping[str, Float[np.ndarray, "example"]] = field(default_factory=dict)


def unit_path(folder: Path, method: str, key: str) -> Path:
    """The file of a unit: its name holds the hash of all that it depends on."""
    return folder / f"{method}-{key[:32]}.safetensors"


def write_unit(path: Path, key: str, scores: UnitScores) -> None:
    """Write a unit whole or not at all, with its key and a checksum."""
    tensors = {"values": np.ascontiguousarray(scores.values)}
    if scores.baseline is not None:
        tensors |= {"correct": scores.baseline.correct, "log_probability": scores.baseline.log_probability}
    if scores.errors is not None:
        tensors["errors"] = np.ascontiguousarray(scores.errors)
    tensors |= {f"check/{name}": np.ascontiguousarray(values) for name, values in scores.checks.items()}
    described = canonical_json({"key": key, "sha256": _checksum(tensors)})
    write_atomic(path, save(tensors, metadata={"reportgen": described}))


def read_unit(path: Path, key: str) -> UnitScores | None:
    """A finished unit, or None where it is missing, broken or made from other inputs (it is then computed again)."""
    try:
        with safe_open(path, framework="numpy") as file:
            described = json.loads((file.metadata() or {}).get("reportgen", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if described != {"key": key, "sha256": _checksum(tensors)}:
            return None
        plain = Baseline(tensors["correct"], tensors["log_probability"]) if "correct" in tensors else None
        checks = {n.removeprefix("check/"): a for n, a in tensors.items() if n.startswith("check/")}
        return UnitScores(tensors["values"], plain, tensors.get("errors"), checks)
    except (SafetensorError, OSError, ValueError, KeyError):
        return None


def _checksum(tensors: dict[str, np.ndarray]) -> str:
    parts = [f"{name} {a.dtype} {a.shape} {sha256(a.tobytes())}" for name, a in sorted(tensors.items())]
    return sha256("\n".join(parts).encode())
