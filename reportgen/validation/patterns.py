"""Look at the attention of each task's named heads: which heads, on which examples, and what the model shows.

Heads: those that the task's findings name, most important finding first, at most six; where none is named, the three of
largest importance. Examples by the size of the head's own score: the (lower) median one, the largest one, and as a
control the median one of the study's control task, or where it has none of the task on which the head's importance is
smallest; with a single task, its example of smallest score.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reportgen.core.blocks import Blocks, parsed
from reportgen.core.config import Study
from reportgen.core.findings import Findings
from reportgen.core.kinds import kind_of
from reportgen.core.patterns import Pattern, Patterns, Role, from_json
from reportgen.core.provenance import versions
from reportgen.core.scores import Head, HeadScores
from reportgen.errors import InputError
from reportgen.storage.json_files import key_of, read_json

if TYPE_CHECKING:
    from reportgen.scoring.data.batches import Batch, Encoded
    from reportgen.scoring.methods.common.method import Setting
    from reportgen.scoring.model.attention import AttentionCall

FILE = "patterns.json"
# A task's heads at most, and where no finding names one: each is drawn on three examples.
HEADS, UNNAMED = 6, 3
# Tokens and tasks up to which every token's attention is kept, not the last one's alone: it grows with the square of
# the tokens, is drawn half an inch wide, and the PDF carries it all.
SHORT, TASKS = 24, 24
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """A head of a task, and an example (its number in task ``source``) to see it on."""

    task: int
    head: Head
    role: Role
    source: int
    example: int


def key(study: Study, findings: Findings) -> str:
    """Return what makes patterns the same: the scores, and the heads and examples to look at."""
    chosen = wanted(findings, findings.made_from.blocks[0], study.tasks.control)
    named = [[w.task, str(w.head), w.role, w.source, w.example] for w in chosen]
    return key_of([findings.scores, named, SHORT, versions()])


def observe(study: Study, findings: Findings) -> Patterns:
    """Look at the named heads; a model whose attention cannot be seen leaves patterns that say why."""
    blocks = findings.made_from.blocks
    try:
        found, problem = _seen(study, blocks, wanted(findings, blocks[0], study.tasks.control)), None
    except InputError as error:
        found, problem = [], f"{error.problem} ({error.location})"
    return Patterns("", findings.scores, found, problem)


def read(path: Path, findings: Findings) -> Patterns | None:
    """Read the patterns of the scores that were analyzed; None where there are none.

    Raises InputError for damaged ones.
    """
    if not path.is_file():
        return None
    found = from_json(read_json(path), str(path))
    return found if found.scores == findings.scores else None


def wanted(findings: Findings, scores: HeadScores, control: str | None) -> list[Wanted]:
    """Every head and example to look at; none of a task without per-example scores."""
    chosen: list[Wanted] = []
    for t in range(len(scores.tasks)):
        for head in _heads(findings, scores, t):
            chosen += _examples(scores, t, head, control)
    return chosen


def _heads(findings: Findings, scores: HeadScores, t: int) -> list[Head]:
    task = scores.tasks[t].name
    named = [
        parsed(str(m))
        for f in findings.ranked()
        if f.block == scores.block and (f.task == task or (f.tasks and task in f.tasks)) and kind_of(f.kind).important
        for m in f.members or ()
        if isinstance(m, str)
    ]
    if named:
        return list(dict.fromkeys(named))[:HEADS]
    size = np.nan_to_num(np.abs(scores.importance[t]), nan=-1.0)
    order = np.argsort(-size, axis=None, kind="stable")[:UNNAMED]
    return [Head(*map(int, np.unravel_index(i, size.shape))) for i in order if scores.present.ravel()[i]]


def _examples(scores: HeadScores, t: int, head: Head, control: str | None) -> Iterator[Wanted]:
    order = _by_size(scores, t, head)
    if not len(order):
        return
    yield Wanted(t, head, "median", t, int(order[(len(order) - 1) // 2]))
    yield Wanted(t, head, "strongest", t, int(order[-1]))
    names = scores.task_names
    others = [i for i in range(len(names)) if i != t and len(_by_size(scores, i, head))]
    if not others:
        yield Wanted(t, head, "control", t, int(order[0]))
        return
    declared = [i for i in others if names[i] == control]
    source = declared[0] if declared else min(others, key=lambda i: abs(float(scores.importance[i][head])))
    there = _by_size(scores, source, head)
    yield Wanted(t, head, "control", source, int(there[(len(there) - 1) // 2]))


def _by_size(scores: HeadScores, t: int, head: Head) -> np.ndarray:
    """Return a task's examples by the size of the head's score, the smallest first, ties in file order."""
    examples = scores.examples[t]
    if examples is None:
        return np.array([], dtype=int)
    values = np.abs(examples.values[:, head.layer, head.head])
    return np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]


def _seen(study: Study, blocks: Blocks, chosen: Sequence[Wanted]) -> list[Pattern]:
    """Run the model on the chosen examples, task by task, and read the heads' patterns."""
    from reportgen.scoring.data.metrics import METRICS
    from reportgen.scoring.methods.common.method import Setting
    from reportgen.scoring.run.prepare import prepare
    from reportgen.validation.prepare import refuse_others

    if not chosen:
        return []
    prepared = prepare(study)
    refuse_others(prepared, blocks)
    model, scores = prepared.model, blocks[0]
    setting = Setting(model, METRICS["log_probability"], "sum", study.scoring.positions, study.scoring.seed)
    found: dict[int, Pattern] = {}
    for source in sorted({w.source for w in chosen}):
        here = [(n, w) for n, w in enumerate(chosen) if w.source == source]
        examples, task = scores.examples[source], prepared.tasks[source]
        assert examples is not None
        rows = {row.id: i for i, row in enumerate(task.rows)}
        numbers = sorted({rows[examples.ids[w.example]] for _, w in here})
        for members in model.running.planned([task.encoded[i] for i in numbers], prepared.batch_size):
            at = {numbers[m]: row for row, m in enumerate(members)}
            there = [(n, w, at.get(rows[examples.ids[w.example]])) for n, w in here]
            looked = [(n, w, row) for n, w, row in there if row is not None]
            texts = [_Text.of(task.encoded[i], model.kind, len(scores.tasks)) for i in at]
            batch = model.collated([task.encoded[i] for i in at])
            weights = _weights(setting, batch, texts, [(row, w.head) for _, w, row in looked])
            for (n, w, row), seen in zip(looked, weights, strict=True):
                text = texts[row]
                found[n] = Pattern(
                    scores.tasks[w.task].name,
                    str(w.head),
                    w.role,
                    scores.tasks[source].name,
                    examples.ids[w.example],
                    float(f"{examples.values[w.example][w.head]:.6g}"),
                    [_spelled(model.tokenizer, i) for i in text.tokens],
                    _rounded(seen[text.end if text.short else 0]),
                    [_rounded(r) for r in seen] if text.short else None,
                    text.expected,
                )
    return [found[n] for n in sorted(found)]


@dataclass(frozen=True)
class _Text:
    """An example's tokens that are shown, the one that predicts the answer, whether each one's attention is, and the
    answer.
    """

    tokens: tuple[int, ...]
    end: int
    short: bool
    expected: str

    @classmethod
    def of(cls, one: "Encoded", kind: str, tasks: int) -> "_Text":
        end = one.positions[0] if one.positions else len(one.inputs) - 1
        tokens = one.inputs[: end + 1] if kind == "causal" else one.inputs
        return cls(tokens, end, len(tokens) <= SHORT and tasks <= TASKS, one.row.answer)


def _weights(
    setting: "Setting", batch: "Batch", texts: Sequence[_Text], looked: Sequence[tuple[int, Head]]
) -> list[np.ndarray]:
    """Return each pair's attention, of an example (its number in the batch) and a head: the rows that are shown."""
    import torch

    from reportgen.scoring.methods.common.attention_patterns import observed

    found: dict[int, np.ndarray] = {}

    def read(index: int, call: "AttentionCall") -> None:
        for n, (row, head) in enumerate(looked):
            if head.layer == setting.heads.sites[index].layer:
                text = texts[row]
                asked = torch.arange(len(text.tokens)) if text.short else torch.tensor([text.end])
                weights = call.taken(row).rows(asked[None])[0, head.head, :, : len(text.tokens)]
                found[n] = weights.double().cpu().numpy()

    observed(setting, batch, read, answer=False)
    return [found[n] for n in range(len(looked))]


def _rounded(weights: np.ndarray) -> list[float]:
    return [round(float(w), 3) for w in weights]


def _spelled(tokenizer: object, token: int) -> str:
    """Return a token's text, with the space that decoding it alone would drop."""
    text: str = tokenizer.decode([token])  # type: ignore[attr-defined]
    piece = tokenizer.convert_ids_to_tokens(token)  # type: ignore[attr-defined]
    return f" {text}" if str(piece).startswith("▁") and not text.startswith(" ") else text
