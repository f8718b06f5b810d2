"""Arrays and tensors as TransformerLens, nnsight, PyTorch and NumPy users save them: .pt, .npy, .npz, .safetensors.

One array (layer, head); named arrays, one task each; an array (task, layer, head) or (example, layer, head) where
``[scores] axis`` says which; or flat (layer · head) stacks, as TransformerLens makes them, where ``[scores] layers``
and ``heads`` do. A tensor that nnsight saved is a plain tensor once the trace has ended. What the numbers measure no
such file says: ``[scores] method``, ``unit`` and ``signed`` may. Nothing in a file is ever executed: pickled objects
are refused.
"""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.errors import InputError, ran_out
from reportgen.importers import npz
from reportgen.importers.common import Importer, is_foreign_safetensors, is_torch_graph, method_of, scores_from_arrays
from reportgen.storage.decompression import most_of, refuse_bomb

TORCH = (".pt", ".pth")
DEEPEST = 4  # lists within lists: no array that is read has more than three axes


def claims(path: Path) -> bool:
    """Return whether the extension is one of arrays, and no other importer knows the file by name or content."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return not npz.claims(path)
    if suffix == ".safetensors":
        return is_foreign_safetensors(path)
    if suffix == ".npy":
        return not path.stem.endswith("head_importance")
    effects = path.stem.endswith("_indirect_effect")
    return suffix == ".pth" or (suffix == ".pt" and not effects and not is_torch_graph(path))


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read the file's arrays, called by their names or the file's; raises InputError for what is no array."""
    suffix = path.suffix.lower()
    if suffix in TORCH:
        arrays = _named(path, read_torch(path))
    elif suffix == ".npy":
        arrays = {path.stem: read_npy(path)}
    elif suffix == ".npz":
        arrays = npz.read_archive(path)
    elif suffix == ".safetensors":
        arrays = _named(path, _safetensors(path))
    else:
        raise InputError("arrays are not stored under this extension", str(path), "Use .pt, .npy, .npz or .safetensors")
    if not arrays:
        raise InputError("there is no array in this file", str(path), "Save one (layer, head) array for each task")
    return scores_from_arrays(path, arrays, section, method_of(section, "unknown"))


def read_npy(path: Path) -> np.ndarray:
    """Read the array of a .npy file; raises InputError for objects, which are never unpickled, and for broken files."""
    try:
        # Mapped, not read: a header that promises more than the file holds must not claim memory for it.
        with np.errstate(over="raise"):
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # numpy raises many kinds for a broken file
        problem = "this is no whole .npy file of plain numbers"
        raise InputError(
            problem, str(path), "Save the array with numpy.save(path, array, allow_pickle=False)"
        ) from error


def read_torch(path: Path) -> object:
    """Read what torch.save wrote, tensors on the CPU; raises InputError for anything that reading could execute."""
    import torch

    hint = "Save tensors alone: torch.save(tensor.cpu(), path), or a dict of task name → tensor"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old storages and archives of programs: what comes out is checked
            _refuse_repeated(path, hint)
            content = torch.load(path, map_location="cpu", weights_only=True)
            _refuse_claims(path, content, hint)
            return content
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"{found[1]}, which is no tensor" if found else "more than tensors"
        raise InputError(f"the file holds {what}, and is not read: that could run code", str(path), hint) from error
    except Exception as error:  # torch raises many kinds for a broken file
        raise InputError("this is no whole file of PyTorch tensors", str(path), hint) from error


def _refuse_repeated(path: Path, hint: str) -> None:
    """Refuse pickles that make bytes by their number: a few of them keep the reader counting for minutes.

    PyTorch's own reader lets them pass, though nothing that holds tensors has any.
    """
    refuse_bomb(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pickled = b"".join(archive.read(n) for n in archive.namelist() if n.endswith(".pkl"))
    else:
        pickled = path.read_bytes()
    if b"\nbytearray\n" in pickled:
        raise InputError("the file holds builtins.bytearray, which is no tensor", str(path), hint)


def _refuse_claims(path: Path, content: object, hint: str) -> None:
    """Refuse tensors that promise more numbers than the file can hold: one number may stand for all of them, and one
    tensor many times over.
    """
    import torch

    size = path.stat().st_size
    todo, left = [(content, 0)], most_of(size)
    while todo:
        value, depth = todo.pop()
        if isinstance(value, torch.Tensor):
            left -= 8 * value.numel()
        elif isinstance(value, dict | list | tuple) and depth <= DEEPEST:
            left -= 8 * len(value)
            parts = value.values() if isinstance(value, dict) else value
            todo += ((part, depth + 1) for part in parts) if left >= 0 else ()
        if left < 0:
            raise InputError(f"its tensors promise more numbers than {size:,} bytes can hold", str(path), hint)


def _safetensors(path: Path) -> dict[str, object]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:  # NumPy has no bfloat16
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, AttributeError) as error:  # the last for a type that torch does not know
        problem = f"this is not a readable safetensors file ({error})"
        raise InputError(problem, str(path), "Save one (layer, head) tensor for each task") from error


def _named(path: Path, content: object) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        return {path.stem: as_array(content, str(path))}
    for key in content:
        if not isinstance(key, str):
            raise InputError(f"the key {key!r} is no task name", str(path), "Call each tensor after its task")
    return {name: as_array(value, f"{path}, {name}") for name, value in content.items()}


def as_array(value: Any, location: str, depth: int = 0) -> np.ndarray:
    """Return a tensor, a number, or a list of equal shapes as an array; raises InputError for anything else."""
    import torch

    if isinstance(value, torch.Tensor):
        return _tensor_array(value, location)
    if type(value) in (int, float) and depth:
        return np.array(_float(value))
    if isinstance(value, list | tuple) and value and depth < DEEPEST:
        parts = [as_array(part, location, depth + 1) for part in value]
        for number, part in enumerate(parts):
            if part.shape != parts[0].shape:
                shapes = f"number 0 has shape {parts[0].shape}, number {number} {part.shape}"
                hint = "Give parts of one shape; nan marks a head that a layer lacks"
                raise InputError(f"a list of unequal parts: {shapes}", location, hint)
        return np.stack(parts)
    raise InputError(
        f"this is no tensor, but a {type(value).__name__}", location, "Save tensors and nothing beside them"
    )


def _tensor_array(tensor: Any, location: str) -> np.ndarray:
    """Return a tensor's numbers in NumPy's own types, which lack those of eight bits and bfloat16."""
    import torch

    hint = "Save tensor.to_dense().cpu().float()"
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.is_nested:
        raise InputError("this tensor is no plain table of numbers", location, hint)
    wide = tensor.dtype.is_floating_point
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        return np.array((plain.double() if wide else plain).numpy())
    except (TypeError, RuntimeError) as error:  # numbers of four bits, halves of complex ones: torch itself cannot
        if ran_out(error):
            raise
        raise InputError(f"numbers of type {tensor.dtype} cannot be read", location, hint) from error


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")  # refused, with its location, by the check that all numbers pass


IMPORTER = Importer(
    "arrays", "arrays (layer, head) in .pt, .npy, .npz, .safetensors", claims, load, order=30, axis=True
)
