"""Checkpoints of a validation: finished outcomes in files, so that a broken run goes on where it stopped."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from reportgen.storage.files import sha256, write_atomic
from reportgen.storage.json_files import canonical_json
from reportgen.validation.engine import Outcomes


def read_checkpoint(folder: Path | None, key: str) -> Outcomes | None:
    """Return the outcomes of a checkpoint; None where it is missing, broken, or made from other inputs."""
    if folder is None:
        return None
    try:
        with safe_open(_path(folder, key), framework="numpy") as file:
            described = json.loads((file.metadata() or {}).get("reportgen", "{}"))
            found = Outcomes(file.get_tensor("correct"), file.get_tensor("log_probability"))
        return found if described == {"key": key, "sha256": _checksum(found)} else None
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def write_checkpoint(folder: Path | None, key: str, found: Outcomes) -> None:
    """Write a checkpoint, whole or not at all."""
    if folder is not None:
        described = canonical_json({"key": key, "sha256": _checksum(found)})
        tensors = {"correct": found.correct, "log_probability": found.log_probability}
        write_atomic(_path(folder, key), save(tensors, metadata={"reportgen": described}))


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key[:32]}.safetensors"


def _checksum(found: Outcomes) -> str:
    return sha256(np.packbits(found.correct).tobytes() + found.log_probability.tobytes())
