"""NumPy archives: importance (task, layer, head) and, optionally, tasks (names) and examples_<t>.

Archives without ``importance`` hold one array for each task; the ``arrays`` importer reads them.
"""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from reportgen.core.config import ScoresSection
from reportgen.core.scores import Examples, HeadScores
from reportgen.errors import InputError
from reportgen.importers.common import Importer, as_examples, method_of, numbers, scores_from_examples

KEYS = "importance (task, layer, head), tasks (names), examples_0, examples_1, … (example, layer, head)"
HINT = "Save plain arrays with numpy.savez"


def claims(path: Path) -> bool:
    """Return whether the file is an .npz that holds importance, or that cannot be opened."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "importance.npy" in archive.namelist()
    except Exception:  # zipfile raises many kinds for a broken file
        return True


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz by name; raises InputError for a broken file. Pickled objects are refused."""
    try:
        with zipfile.ZipFile(path):
            pass  # numpy reads a renamed .npy without complaint
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError("no such file", str(path), "Check the path") from error
    except (
        ValueError,
        OSError,
        EOFError,
        OverflowError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(f"this is no archive of plain arrays ({error})", str(path), HINT) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a file of another kind in the archive
            raise InputError(f"{name} in it is no array", str(path), HINT)
    return arrays


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read an .npz; raises InputError for missing or unfit arrays."""
    arrays = read_archive(path)
    tensor = arrays.get("importance")
    if tensor is None or tensor.ndim not in (2, 3) or tensor.dtype.kind not in "fiu" or not tensor.size:
        seen = ", ".join(f"{k} {v.shape}" for k, v in arrays.items()) or "nothing"
        raise InputError(f"no importance array in it (seen: {seen})", str(path), f"Known arrays: {KEYS}")
    tensor = numbers(tensor, f"{path}, importance").reshape(-1, *tensor.shape[-2:])
    for name in arrays:
        if not re.fullmatch(r"importance|tasks|examples_\d{1,6}", name) or int(name.partition("_")[2] or 0) >= len(
            tensor
        ):
            raise InputError(f"unknown array {name!r} for {len(tensor)} tasks", str(path), f"Known arrays: {KEYS}")
    if "tasks" in arrays and (arrays["tasks"].ndim != 1 or arrays["tasks"].dtype.kind not in "US"):
        raise InputError("the task names are no list of texts", f"{path}, tasks", "Give one name a task")
    names = [str(n) for n in arrays["tasks"]] if "tasks" in arrays else [f"Task {t}" for t in range(len(tensor))]
    if len(names) != len(tensor):
        raise InputError(f"{len(names)} task names for {len(tensor)} tasks", f"{path}, tasks", "Give one name a task")
    examples = [_examples(path, arrays, t, tensor.shape[1:]) for t in range(len(tensor))]
    return scores_from_examples(names, examples, list(tensor), section, method_of(section, "unknown"))


def _examples(path: Path, arrays: dict[str, np.ndarray], t: int, shape: tuple[int, ...]) -> Examples | None:
    values = arrays.get(f"examples_{t}")
    if values is None:
        return None
    if values.ndim != 3 or values.shape[1:] != shape or not len(values) or values.dtype.kind not in "fiu":
        problem = f"{values.dtype} of shape {values.shape} is no map (example, {shape[0]}, {shape[1]})"
        raise InputError(problem, f"{path}, examples_{t}", "Give one layer × head map for each example")
    exact = numbers(values, f"{path}, examples_{t}")
    return as_examples(exact, [str(i) for i in range(len(values))], ordered=False)


IMPORTER = Importer("npz", f"NumPy archive: {KEYS}", claims, load, order=20)
