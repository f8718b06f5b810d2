"""Arrays that are costly to make and the same for every report, in the user's cache."""

import io
from collections.abc import Callable

import numpy as np

from reportgen.core.user_cache import cache_folder
from reportgen.errors import MissingResourceError
from reportgen.storage.files import sha256, write_atomic


def cached(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return an array from the user's cache, made and stored when missing or broken; no cache folder is no error."""
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
