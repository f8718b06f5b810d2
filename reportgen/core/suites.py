"""Suites: tasks that come with reportgen, made rather than read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reportgen.core.plugins import Record, Registry

Rows = Iterable[Mapping[str, object]]


class Reading(Protocol):
    """How a model's tokenizer reads: what a suite may ask before it writes its rows."""

    def count(self, text: str) -> int:
        """Return how many tokens a text takes behind another one."""

    def words(self, seed: int, number: int) -> Sequence[str]:
        """Draw texts that are one token each wherever they stand between spaces; fewer where there are no more."""


@dataclass(frozen=True)
class Suite(Record):
    """A suite of tasks: ``doc`` says in a line what it measures, and ``make`` makes from a seed its rows, each with the
    columns of a task file.

    ``make`` offers more rows than are used, of all templates (``group``) in turn: those that a tokenizer does not read
    as they are meant are passed over. A row without an id gets one. ``tokens`` is the greatest number of tokens of an
    answer (None: any). ``adapted``, where it is given, makes the rows in place of ``make`` once the tokenizer is known,
    with prompts of the given lengths in tokens; ``lengths`` are the usual ones (none: the suite has no choice of them).

    ``measures``, ``source``, ``known`` (results) and ``pitfalls`` are the suite's page. ``usual``: it is part of what a
    model is scored on where nothing is asked for. ``control`` names its task of neutral text.
    """

    doc: str
    make: Callable[[int], Rows]
    measures: str = ""
    source: str = ""
    known: str = ""
    pitfalls: str = ""
    tokens: int | None = None
    adapted: Callable[[int, Reading, Sequence[int]], Rows] | None = None
    lengths: tuple[int, ...] = ()
    usual: bool = False
    control: str | None = None

    @property
    def described(self) -> dict[str, Any]:
        """The record as JSON values, with the groups and the first row of each task that seed 0 makes."""
        tasks: dict[str, dict[str, Any]] = {}
        for row in self.make(0):
            task = tasks.setdefault(str(row["task"]), {"rows": 0, "groups": set(), "first": dict(row)})
            task["rows"] += 1
            task["groups"].add(row.get("group", task["rows"]))
        return {
            "summary": self.doc,
            "measures": self.measures,
            "source": self.source,
            "known results": self.known,
            "pitfalls": self.pitfalls,
            "lengths": list(self.lengths),
            "tasks": {name: {**task, "groups": len(task["groups"])} for name, task in tasks.items()},
        }


SUITES = Registry("suites", Suite)
