"""The rows of a study's suites: those that the model's tokenizer reads as they are meant, of all templates in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from reportgen.core.config import TasksSection
from reportgen.core.suites import SUITES, Rows, Suite
from reportgen.errors import InputError, ReportgenError, reason
from reportgen.scoring.data.encoding import Options, encode
from reportgen.scoring.data.offsets import read
from reportgen.scoring.data.prompts import prompted
from reportgen.scoring.data.tasks import Row, TaskFile, in_turn, row_of
from reportgen.storage.json_files import key_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

USUAL = 60  # rows of a task, where [tasks] limit says nothing
# Of fewer rows nothing can be concluded: they are half for finding heads and half for reporting them.
FEWEST = 10
LOCATION = "[tasks] suites"
UNKNOWN = "the tokenizer does not know all of its words"


@dataclass(frozen=True)
class Reader:
    """How a model's tokenizer reads a study's rows."""

    tokenizer: PreTrainedTokenizerBase
    options: Options = field(default_factory=Options)
    section: TasksSection = field(default_factory=TasksSection)

    def count(self, text: str) -> int:
        """Return how many tokens a text takes behind another one."""
        return len(self._ids(f"a {text}")) - len(self._ids("a"))

    def words(self, seed: int, number: int) -> list[str]:
        """Draw texts of letters that are one token each wherever they stand between spaces."""
        ids, found = list(range(len(self.tokenizer))), dict[str, None]()
        Random(f"{seed}\nwords").shuffle(ids)
        for token in ids:
            text = str(self.tokenizer.decode([token])).strip()
            if len(text) > 1 and text.isalpha() and text not in found and self.count(text) == 1:
                found[text] = None
            if len(found) == number:
                break
        return list(found)

    def misread(self, row: Row, tokens: int | None) -> str | None:
        """Say what the tokenizer reads otherwise than the row is meant; None where all is well.

        Answer, foil and choices take as many tokens, at most ``tokens``: sums over more tokens are lower, whatever the
        model thinks. The counterfactual prompt takes as many as the prompt, and every word is known.
        """
        options = replace(
            self.options, with_foil=row.foil is not None, with_corrupted=row.corrupted is not None, truncate=None
        )
        try:
            (text,) = prompted(self.tokenizer, [row], self.section.model_copy(update={"shots": 0}), 0)
            encoded = encode(self.tokenizer, text, options)
        except InputError as error:
            return UNKNOWN if self._unknown in self._ids(f"{row.prompt} {row.answer}") else error.problem
        counts = {len(each.answer) for each in (encoded, *encoded.rivals)}
        if len(counts) > 1:
            return f"its choices take from {min(counts)} to {max(counts)} tokens"
        if tokens is not None and max(counts) > tokens:
            return f"the answer {row.answer!r} takes {max(counts)} tokens"
        ids = {*encoded.inputs, *encoded.answer, *(encoded.corrupted or ()), *(encoded.decoder or ())}
        ids.update(*(each.answer for each in encoded.rivals))
        return UNKNOWN if self._unknown in ids else None

    @property
    def _unknown(self) -> int | None:
        """The token of words that it does not know, unless that serves as another special one too."""
        tokenizer = self.tokenizer
        others = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
        unknown: int | None = tokenizer.unk_token_id
        return None if unknown in others else unknown

    def _ids(self, text: str) -> Sequence[int]:
        ids: Sequence[int] = read(self.tokenizer, text, special=False)["input_ids"]
        return ids


def chosen(section: TasksSection) -> tuple[Suite, ...]:
    """Return the suites that [tasks] asks for; raises InputError for a name that is none, with the nearest one, and for
    lengths where none of them has a choice.
    """
    suites = tuple(SUITES.get(name, LOCATION) for name in section.asked)
    if section.lengths and not any(suite.lengths for suite in suites):
        able = ", ".join(suite.name for suite in SUITES.known() if suite.lengths)
        raise InputError("no suite of the study has prompts of chosen lengths", "[tasks] lengths", f"These do: {able}")
    return suites


def fingerprint(section: TasksSection) -> list[object]:
    """Hash what the suites offer where no tokenizer is known: with the model's files it is what they are made of."""
    return [[suite.name, key_of(_offered(suite, partial(suite.make, 0)))] for suite in chosen(section)]


def make_tasks(section: TasksSection, seed: int, reader: Reader | None) -> TaskFile:
    """Make the tasks of the study's suites: of each ``limit`` rows (60), or all that there are, of its groups in turn.

    Without a ``reader`` all rows count as well read. A task of which too few are read as they are meant is left out,
    and the notes, the last of them, say so. Raises InputError for prompts longer than the model's context.
    """
    tasks, notes, left_out, passed = dict[str, tuple[Row, ...]](), list[str](), dict[str, str](), Counter[str]()
    wanted = section.limit or USUAL
    for suite in chosen(section):
        offered: dict[str, list[Row]] = {}
        for row in _rows(suite, seed, section, reader, notes):
            offered.setdefault(row.task, []).append(row)
        if not offered:  # none of its lengths fits the context, or the tokenizer has too few words
            names = dict.fromkeys(str(row["task"]) for row in _offered(suite, partial(suite.make, seed)))
            left_out |= {task: _said(suite, task, 0, []) for task in names}
        for task, rows in offered.items():
            _refuse_twice(task, [*tasks, *left_out], suite)
            reasons: list[str] = []

            def fits(row: Row, suite: Suite = suite, reasons: list[str] = reasons) -> bool:
                misread = reader.misread(row, suite.tokens) if reader is not None else None
                reasons += [misread] if misread else []
                return misread is None

            kept = in_turn(rows, wanted, fits)
            if len(kept) < min(wanted, FEWEST, len(rows)):
                left_out[task] = _said(suite, task, len(kept), reasons)
                continue
            tasks[task], passed[task] = tuple(kept), len(reasons)
            if section.limit is not None and len(kept) < section.limit:
                notes.append(f"task {task}: suite {suite.name} has {len(kept)} rows for it where limit asks for more")
    replaced = [f"{number} of task {task}" for task, number in passed.items() if number]
    if replaced:
        what = "rows that this tokenizer does not read as they are meant were replaced by others"
        notes.append(f"{what}: {', '.join(replaced)}")
    return TaskFile(tasks, (*notes, *left_out.values()), tuple(left_out))


def refuse_empty(file: TaskFile) -> None:
    """Raise InputError where no task is left."""
    if not file.tasks:
        hint = "Choose a suite whose words it knows, or write tasks of your own ([tasks] path)"
        raise InputError(f"nothing is left to score: {file.notes[-len(file.left_out)]}", LOCATION, hint)


def _rows(suite: Suite, seed: int, section: TasksSection, reader: Reader | None, notes: list[str]) -> Iterable[Row]:
    """Yield the rows that a suite offers, each with an id."""
    adapted = suite.adapted
    if reader is None or adapted is None:
        made = _offered(suite, partial(suite.make, seed))
    else:
        lengths = _lengths(suite, section, reader.options.context, notes)
        made = _offered(suite, partial(adapted, seed, reader, lengths))
    for number, row in enumerate(made):
        yield row_of(row, f"suite {suite.name}, row {number}", f"{suite.name} {number}")


def _offered(suite: Suite, make: Callable[[], Rows]) -> list[dict[str, object]]:
    """Return the rows that a suite makes; raises InputError, naming it, where one of another package fails."""
    try:
        return [dict(row) for row in make()]
    except ReportgenError:
        raise
    except Exception as error:
        if suite in SUITES.own():
            raise
        raise InputError(f"the suite {suite.name} fails ({reason(error)})", LOCATION, "Mend its package") from error


def _lengths(suite: Suite, section: TasksSection, context: int | None, notes: list[str]) -> list[int]:
    """Return the lengths of a suite's prompts: those asked for, or of the usual ones those that the model can read."""
    if not suite.lengths:
        return []
    if context is None:
        return list(section.lengths or suite.lengths)
    for length in section.lengths:
        if length > context:
            problem = f"prompts of {length} tokens do not fit the model's context of {context}"
            raise InputError(problem, "[tasks] lengths", f"Give lengths below {context}")
    if section.lengths:
        return list(section.lengths)
    long = [length for length in suite.lengths if length >= context]
    if long:
        what = " and ".join(map(str, long))
        notes.append(f"suite {suite.name}: no prompts of {what} tokens, for the model's context is {context}")
    return [length for length in suite.lengths if length < context]


def _refuse_twice(task: str, before: Iterable[str], suite: Suite) -> None:
    if task in before:
        raise InputError(f"two suites make a task {task!r}", f"{LOCATION}, {suite.name}", "Leave one of them out")


def _said(suite: Suite, task: str, kept: int, reasons: Sequence[str]) -> str:
    why = f" (of the first other one: {reasons[0]})" if reasons else ""
    held = f"this tokenizer reads {kept} of its rows as they are meant, and {FEWEST} are needed{why}"
    return f"task {task} of suite {suite.name} is left out: {held}"
