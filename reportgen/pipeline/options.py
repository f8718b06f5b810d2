"""How a run is made, which changes no number of it."""

from dataclasses import dataclass
from pathlib import Path

from reportgen.core.listener import SILENT, Listener


@dataclass(frozen=True)
class Options:
    """How a run is made.

    ``listener`` hears how far it is; ``checkpoints`` is where finished shards of an unfinished scoring are written
    and left (default: in the run directory, until the scoring is done); ``command`` is recorded in the manifest;
    ``separate_process`` lets a process of its own lay out the PDF of small scores, which takes less time;
    ``trust_templates`` uses templates that came with a report; ``figures`` are the forms of each figure.
    """

    listener: Listener = SILENT
    checkpoints: Path | str | None = None
    command: str = ""
    separate_process: bool = False
    trust_templates: bool = False
    figures: tuple[str, ...] = ("svg",)


PLAIN = Options()
