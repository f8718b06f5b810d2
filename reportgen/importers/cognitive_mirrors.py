"""Cognitive Mirrors' head importance: JSON ``{function: [[flat_index, signed_score], …]}``, a ranking by |score|.

Source: "Cognitive Mirrors: Exploring the Diverse Functional Roles of Attention Heads in LLM Reasoning", arXiv
2512.10978, whose get_importance.py writes the file. A flat index is layer × H + head; neither H nor the number of
layers is stored, so ``[scores] layers`` and ``heads`` must say. The order of a list carries nothing that its scores do
not, and is not checked. A ranking cut short is refused: its other heads are unknown, not zero.
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores, Method
from reportgen.errors import InputError
from reportgen.importers.common import Importer, beginning, method_of, scores_from_examples
from reportgen.storage.json_files import read_json

PAIR = r"\[\s*(?:-?\d+|true|false)\s*,\s*[^,\[\]]+\]"  # rows of a matrix are longer, or begin with a fraction
START = re.compile(r'\s*\{\s*"(?!\d+-\d+")(?:[^"\\]|\\.)*"\s*:\s*\[\s*' + PAIR)
LAYOUT = "Give {function: [[flat index, score], …], …}"
METHOD = Method(
    "cognitive mirrors probe",
    unit="probe gradient × feature",
    family="probing",
    signed=True,
    formula="s_e(h) = mean over d of p_d(e, h) · ∂z_c(e) / ∂p_d(e, h)",
    meaning="Read from a file of the Cognitive Mirrors code; reportgen did not compute it. A classifier was trained to "
    "tell the function c from the heads’ outputs: z_c is its logit, p(h) the 64 features that it projects head h to. "
    "The scores say what that classifier reads from a head, not what the model does without it.",
    references=[
        "Ma, X., Wang, J., Jiang, Y., Erfani, S. M., Liu, T. & Bailey, J. (2025). Cognitive Mirrors: exploring "
        "the diverse functional roles of attention heads in LLM reasoning. NeurIPS 38. arXiv:2512.10978."
    ],
)


def claims(path: Path) -> bool:
    """Return whether it is a JSON object whose first value is a list of pairs, under a key that is no layer-head."""
    return START.match(beginning(path, ".json")) is not None


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read one task a function, without examples; raises InputError naming the entry that does not fit."""
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise InputError("this is no object of functions", str(path), LAYOUT)
    ranked = {name: _entries(f"{path}, {name}", entries) for name, entries in content.items()}
    layers, heads = _shape(path, ranked, section)
    maps = [_map(f"{path}, {name}", ranking, layers, heads) for name, ranking in ranked.items()]
    return scores_from_examples(list(ranked), [None] * len(ranked), maps, section, method_of(section, METHOD))


def _entries(location: str, entries: object) -> dict[int, float]:
    """Read one function's scores by flat index."""
    if not isinstance(entries, list) or not entries:
        raise InputError("this is no list of heads", location, LAYOUT)
    scores: dict[int, float] = {}
    for number, entry in enumerate(entries):
        index, score = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        where = f"{location}, entry {number}"
        if type(index) is not int or index < 0 or not isinstance(score, int | float) or isinstance(score, bool):
            raise InputError(f"{_short(entry)} is no pair of flat index and score", where, LAYOUT)
        if index in scores:
            raise InputError(f"head {index} stands twice", where, "List every head once")
        scores[index] = _finite(score, where)
    return scores


def _finite(score: int | float, where: str) -> float:
    if not abs(score) <= float(np.finfo(np.float32).max):  # compares whole numbers of any length, and refuses nan
        raise InputError(f"{_short(score)} is no finite number (of 32 bits)", where, "Give every head a finite score")
    return float(score)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _shape(path: Path, ranked: dict[str, dict[int, float]], section: ScoresSection) -> tuple[int, int]:
    if section.layers is None or section.heads is None:
        largest = max(max(ranking) for ranking in ranked.values())
        problem = f"the file does not store the model's size, only flat indices up to {_short(largest)}"
        hint = f"Give [scores] layers and heads; layers × heads is {_short(largest + 1)} if the rankings are whole"
        raise InputError(problem, str(path), hint)
    return section.layers, section.heads


def _map(location: str, ranking: dict[int, float], layers: int, heads: int) -> Float[np.ndarray, "layer head"]:
    size, largest = layers * heads, max(ranking)
    if largest >= size:
        problem = f"flat index {_short(largest)} is beyond {layers} layers × {heads} heads"
        raise InputError(problem, location, "Correct [scores] layers and heads")
    if len(ranking) < size:
        problem = f"{len(ranking)} of {layers} × {heads} heads are listed, and the scores of the others are unknown"
        raise InputError(problem, location, "Give the whole ranking; correct [scores] layers and heads if it is whole")
    return np.array([ranking[index] for index in range(size)]).reshape(layers, heads)


IMPORTER = Importer(
    "cognitive-mirrors", "Cognitive Mirrors' JSON {function: [[flat index, score]]}", claims, load, order=60
)
