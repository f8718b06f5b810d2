"""JSON ``{"layer-head": [one score per probe]}``, as Retrieval Head's code and others write it.

Source: Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality", arXiv 2404.15574. What the
numbers measure no such file says: they are called scores unless ``[scores] format`` names this importer. Probes that
are an ordered grid of lengths and depths depend on their neighbours; whether they do is read from the scores.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import Head, HeadScores, Method
from reportgen.errors import InputError
from reportgen.importers import json_maps
from reportgen.importers.common import Importer, as_examples, lists_by_head, method_of, scores_from_examples
from reportgen.storage.json_files import read_json

METHOD = Method(
    "retrieval score",
    unit="retrieval score",
    family="attention pattern",
    meaning="Read from a file of the Retrieval Head code; reportgen did not compute it. One score per probe: the share "
    "of the hidden sentence’s tokens that the head attends to most while the model copies them. Probes are an ordered "
    "grid of context lengths and depths.",
    references=[
        "Wu, W., Wang, Y., Xiao, G., Peng, H. & Fu, Y. (2024). Retrieval head mechanistically explains "
        "long-context factuality. arXiv:2404.15574."
    ],
)
LARGEST = 2.0  # a share; published files hold a few above 1, of tokens that were counted twice, but none above 1.65
UNIT = "score"
KEY = re.compile(r"(0|[1-9]\d{0,3})-(0|[1-9]\d{0,3})", re.ASCII)


def claims(path: Path) -> bool:
    """Return whether the file is a JSON object whose first key reads layer-head."""
    return lists_by_head(path)


def load(path: Path, section: ScoresSection) -> HeadScores | Blocks:
    """Read the file as one task with one example per probe; raises InputError naming the head that does not fit."""
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError("this is no object of heads", str(path), 'Give {"layer-head": [scores, …], …}')
    rows = {_head(path, key): _scores(path, key, value) for key, value in content.items()}
    size = len(next(iter(rows.values())))
    shape = max(h.layer for h in rows) + 1, max(h.head for h in rows) + 1
    named = section.format == IMPORTER.name
    if not named and (len(rows) < shape[0] * shape[1] or section.rest or section.index_base is not None):
        return json_maps.load(path, section)  # some heads only, or counted from one
    for layer in range(shape[0]):
        for head in range(shape[1]):
            if len(rows.get(Head(layer, head), ())) != size:
                found = len(rows.get(Head(layer, head), ()))
                hint = "Give every head the same number of scores"
                raise InputError(f"{Head(layer, head)} has {found} scores, the first head {size}", str(path), hint)
    values = np.stack([[rows[Head(i, j)] for j in range(shape[1])] for i in range(shape[0])]).transpose(2, 0, 1)
    if named and not (values.min() >= 0 and values.max() <= LARGEST):
        problem = f"scores from {values.min():g} to {values.max():g} are no shares of a sentence’s tokens"
        raise InputError(problem, str(path), "Remove [scores] format, and give method and unit if they are known")
    examples = as_examples(values, [f"probe {i}" for i in range(size)], ordered=named)
    plain = method_of(section, "unknown")
    if "unit" not in section.model_fields_set:
        plain = replace(plain, unit=UNIT)
    task, method = ("Retrieval", method_of(section, METHOD)) if named else (path.stem, plain)
    return scores_from_examples([task], [examples], [values[0]], section, method)


def _head(path: Path, key: str) -> Head:
    match = KEY.fullmatch(key)
    if match is None:
        raise InputError(f"{key!r} is no layer-head", str(path), "Write keys as 16-19 (layer 16, head 19)")
    return Head(int(match[1]), int(match[2]))


def _scores(path: Path, key: str, value: object) -> np.ndarray:
    plain = isinstance(value, list) and all(type(v) in (int, float) for v in value)
    try:
        scores = np.array(value if plain else [np.nan], dtype=float)
    except OverflowError:
        scores = np.array([np.nan])
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise InputError("this is no list of finite numbers", f"{path}, head {key}", "Give one number for each probe")
    return scores


IMPORTER = Importer("retrieval-head", 'JSON {"layer-head": [scores]}, as Retrieval Head writes', claims, load, order=50)
