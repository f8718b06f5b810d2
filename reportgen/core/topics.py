"""Topics: what claims are about, and what a report's key observations are grouped by."""

from dataclasses import dataclass

from reportgen.core.plugins import Record, Registry


@dataclass(frozen=True)
class Topic(Record):
    """A topic of claims: its ``title`` as a heading, and in ``summary`` what its claims say."""

    title: str
    summary: str


TOPICS = Registry("topics", Topic)
