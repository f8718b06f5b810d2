"""DuoAttention's ``full_attention_heads.tsv``: a row per layer, a column per KEY/VALUE head, gates in 0–1.

Source: Xiao et al. 2024, "DuoAttention: Efficient Long-Context LLM Inference with Retrieval and Streaming Heads", arXiv
2410.10819. The head axis stays that of the file: a gate belongs to a key/value head and to all query heads that read
it, and copying it to them would make equal neighbours of what was measured once. The last step of training can leave a
gate a little outside 0–1; it is clipped, as the authors' own reader does.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores, Method, Model
from reportgen.errors import InputError
from reportgen.importers.common import Importer, method_of, scores_from_examples

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
BEYOND = 0.1  # how far outside 0–1 training can leave a gate: one step at its largest learning rate
KV = "Heads are key/value heads, not query heads: L6H3 is key/value head 3 of layer 6."
METHOD = Method(
    "duo attention",
    unit="key/value-head gate",
    meaning="Read from a full_attention_heads.tsv of DuoAttention; reportgen did not compute it. "
    f"{KV} A gate stands for all query heads that share it. It was trained once for the whole model, with a penalty on "
    "its size: near 1 the head needs the whole context to keep the model’s outputs, near 0 the first and the most "
    "recent tokens are enough. Gates are clipped to 0–1.",
    references=[
        "Xiao, G., Tang, J., Zuo, J. et al. (2024). DuoAttention: efficient long-context LLM inference with "
        "retrieval and streaming heads. arXiv:2410.10819."
    ],
)


def claims(path: Path) -> bool:
    """Return whether the file is a .tsv called full_attention_heads…: numbers between tabs may be anyone's matrix."""
    return path.name.startswith("full_attention_heads") and path.suffix.lower() == ".tsv"


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read one task without examples, (layer, key/value head); raises InputError naming the row that does not fit."""
    gates = _gates(path)
    _check_heads(gates.shape[1], section)
    gates = np.clip(gates, 0, 1)
    plain = section.model_copy(update={"heads": None, "kv_groups": None})
    scores = scores_from_examples(["Full attention"], [None], [gates], plain, method_of(section, METHOD))
    return replace(scores, model=Model(kv_groups=gates.shape[1], notes=[KV]))


def _gates(path: Path) -> Float[np.ndarray, "layer kv_head"]:
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"this table cannot be read ({error})", str(path), "Give a text file of numbers") from error
    if not lines:
        raise InputError("the file is empty", str(path), "Give a row of gates for each layer")
    rows = [_row(f"{path}, row {number}", line) for number, line in enumerate(lines, 1)]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            problem = f"{len(row)} gates, but the first row has {len(rows[0])}"
            raise InputError(problem, f"{path}, row {number}", "Give one gate for each key/value head in every row")
    return np.array(rows)


def _row(location: str, line: str) -> list[float]:
    cells = [cell.strip() for cell in line.split("\t")]
    for column, cell in enumerate(cells, 1):
        if NUMBER.fullmatch(cell) is None or not -BEYOND <= float(cell) <= 1 + BEYOND:
            shown = cell if len(cell) <= 40 else f"{cell[:37]}..."
            hint = "Separate gates by tabs, a row for each layer; DuoAttention's lie between 0 and 1"
            raise InputError(f"{shown!r} is no gate", f"{location}, column {column}", hint)
    return [float(cell) for cell in cells]


def _check_heads(found: int, section: ScoresSection) -> None:
    if section.heads is not None and section.heads != found:
        problem = f"the file holds {found} key/value heads per layer, not {section.heads} query heads"
        hint = "A gate is never copied to the query heads that share it; remove the key"
        raise InputError(problem, "[scores] heads", hint)
    if section.kv_groups is not None and section.kv_groups != found:
        hint = "Correct the number in study.toml, or remove the key"
        problem = f"{section.kv_groups} key/value heads expected, but the file holds {found}"
        raise InputError(problem, "[scores] kv_groups", hint)


IMPORTER = Importer(
    "duo-attention", "DuoAttention's full_attention_heads.tsv (key/value heads)", claims, load, order=70
)
