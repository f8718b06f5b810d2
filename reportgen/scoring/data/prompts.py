"""What stands before an answer: the row's prompt, after answered examples and inside a chat template."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.chat_templates import Chat
from reportgen.scoring.data.joining import together
from reportgen.scoring.data.tasks import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Write = Callable[[Row, str, tuple[Row, ...], TasksSection], str]


def prompted(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], section: TasksSection, seed: int
) -> tuple[Row, ...]:
    """Return the rows of one task with their prompts, and corrupted prompts, as the model reads them.

    ``section.shots`` other rows stand, answered, before each prompt: rows of other groups and with other prompts, drawn
    by the seed, the row's id and theirs alone, so that neither batches nor the order of the file change them. A row
    that serves as a shot is still scored, after shots of its own. With ``section.chat_template`` each shot is a user's
    and an assistant's turn, and the prompt the last user's turn, after which the assistant's begins. A corrupted prompt
    stands after the same shots in the same template.

    Raises InputError where a row has too few others for its shots, where the tokenizer has no template, or where the
    template refuses the turns, leaves out the system's, or takes too long or too much (see ``confined``).
    """
    if section.chat_template and not tokenizer.chat_template:
        raise InputError(
            "the tokenizer has no chat template",
            "[tasks] chat_template",
            "Remove the key, or choose a model whose tokenizer has one, such as one tuned for chat",
        )
    for row in rows:
        if row.prompt_pair is not None and (section.chat_template or section.shots):
            raise InputError(
                f"a pair of texts fits no {'chat template' if section.chat_template else 'shots'}",
                f"{row.location} (id {row.id!r}), column prompt_pair",
                f"Remove [tasks] {'chat_template' if section.chat_template else 'shots'}, or the column",
            )
    location = f"[tasks] {'chat_template' if section.system is None else 'system'}"
    write: Write = partial(_plain, tokenizer)
    if section.chat_template:
        write = partial(_chat, Chat(tokenizer, location, section.chat_template_kwargs), location)
    return tuple(_prompted(write, row, shots_of(row, rows, section.shots, seed), section) for row in rows)


def shots_of(row: Row, rows: Sequence[Row], count: int, seed: int) -> tuple[Row, ...]:
    """Choose the rows before this one: of other groups, other prompts, the first by a hash of seed and ids."""
    if count == 0:
        return ()
    others = [other for other in rows if other.group != row.group and other.prompt != row.prompt]
    if len(others) < count:
        found = "no row" if not others else "only 1 row" if len(others) == 1 else f"only {len(others)} rows"
        raise InputError(
            f"{found} of task {row.task!r} and another group can stand before it, and shots = {count}",
            f"{row.location} (id {row.id!r})",
            "Lower [tasks] shots, or add rows",
        )
    return tuple(
        sorted(others, key=lambda other: hashlib.sha256(f"{seed}\n{row.id}\n{other.id}".encode()).digest())[:count]
    )


def _prompted(write: Write, row: Row, shots: tuple[Row, ...], section: TasksSection) -> Row:
    corrupted = None if row.corrupted is None else write(row, row.corrupted, shots, section)
    return replace(row, prompt=write(row, row.prompt, shots, section), corrupted=corrupted)


def _plain(
    tokenizer: PreTrainedTokenizerBase, row: Row, prompt: str, shots: tuple[Row, ...], section: TasksSection
) -> str:
    # a text begins but once: of the later prompts, a token that begins texts is left out
    begin = str(tokenizer.bos_token or "")
    texts = [*(_answered(tokenizer, shot, section) for shot in shots), prompt]
    return section.separator.join([texts[0], *(text.removeprefix(begin) for text in texts[1:])])


def _answered(tokenizer: PreTrainedTokenizerBase, shot: Row, section: TasksSection) -> str:
    """Join a shot's prompt and answer: the answer at the mask token where the prompt holds one, else at its end."""
    mask = tokenizer.mask_token
    if mask and mask in shot.prompt:
        before, *after = shot.prompt.split(mask)
        return together(before, mask.join([shot.answer, *after[1:]]), *after[:1])
    return together(shot.prompt, section.between, _begun(shot.answer, section))


def _begun(answer: str, section: TasksSection) -> str:
    """Return an answer with what every answer begins with."""
    return together(section.answer_prefix, " ", answer) if section.answer_prefix else answer


def _chat(chat: Chat, location: str, row: Row, prompt: str, shots: tuple[Row, ...], section: TasksSection) -> str:
    turns = [] if section.system is None else [("system", section.system)]
    for shot in shots:
        turns += [("user", shot.prompt), ("assistant", _begun(shot.answer, section))]
    try:
        text = chat.written([*turns, ("user", prompt)])
    except InputError as error:
        raise InputError(
            error.problem,
            f"{location}, {row.location}",
            "Remove the key" if section.system is None else "Remove the key, and write it into the prompts",
        ) from error
    if section.system is not None and section.system.strip() not in text:
        raise InputError(
            "the tokenizer's chat template leaves the system's turn out",
            f"{location}, {row.location}",
            "Remove the key, and write it into the prompts",
        )
    return text
