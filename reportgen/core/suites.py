"""Suites: tasks that come with reportgen, made rather than read."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reportgen.core.plugins import Record, Registry


@dataclass(frozen=True)
class Suite(Record):
    """A suite of tasks: what ``doc`` says of it, and ``make``, which from a seed makes its rows, each with the columns
    of a task file.
    """

    doc: str
    make: Callable[[int], Iterable[Mapping[str, object]]]


SUITES = Registry("suites", Suite)
