"""Draw the rows of a task from its templates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from reportgen.errors import InputError

Row = dict[str, object]
# Candidates of a task. A study takes 60 unless it asks for more, and a tokenizer may refuse most of them.
POOL = 480
TRIES = 20  # times that a template may draw again what it has drawn


@dataclass(frozen=True)
class Drawn:
    """A row before it has a task: ``choices`` are what the answer is chosen from (none: answer and foil)."""

    prompt: str
    answer: str
    foil: str
    corrupted: str
    choices: tuple[str, ...] = ()


Writer = Callable[[Random], Drawn]


def drawn(task: str, seed: int, writers: Mapping[str, Writer], pool: int = POOL) -> Iterator[Row]:
    """Draw different rows of a task, those of its templates in turn; the template's name is the row's group.

    Each template has a generator of its own, so that a new one changes few of the others' rows. A prompt stands once,
    whatever it is answered with: as a second example it would tie two groups to each other.
    """
    seen = set[str]()
    return in_turn([_of_one(task, seed, *each, -(-pool // len(writers)), seen) for each in writers.items()])


def _of_one(task: str, seed: int, group: str, write: Writer, number: int, seen: set[str]) -> Iterator[Row]:
    random = Random(f"{seed}\n{task}\n{group}")
    for _ in range(number):
        made = next((d for d in (write(random) for _ in range(TRIES)) if d.prompt not in seen), None)
        if made is None:  # the template has nothing more to say
            return
        seen.add(made.prompt)
        choices = list(made.choices or random.sample((made.answer, made.foil), 2))
        yield {
            "task": task,
            "prompt": made.prompt,
            "answer": made.answer,
            "foil": made.foil,
            "choices": choices,
            "corrupted": made.corrupted,
            "group": group,
        }


def in_turn(sources: Sequence[Iterator[Row]]) -> Iterator[Row]:
    """Yield one row of each source after the other until all are at their end."""
    left = list(sources)
    while left:
        for source in [*left]:
            row = next(source, None)
            if row is None:
                left.remove(source)
            else:
                yield row


def refuse_short(suite: str, length: int, least: int) -> None:
    """Raise InputError for prompts that cannot be as short as they are asked to be, by more than a tenth."""
    if least > 1.1 * length:
        problem = f"prompts of suite {suite} take {least} tokens at least, not {length}"
        raise InputError(problem, "[tasks] lengths", f"Give {least} or more")
