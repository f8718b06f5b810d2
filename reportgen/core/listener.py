"""Who hears how far a run is, and what it has to say."""

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, int, int], None]
Notify = Callable[[str], None]


def _silent(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Hear of a run: ``progress(stage, done, total)`` as it goes on, ``notify(sentence)`` what a reader should know."""

    progress: Progress = _silent
    notify: Notify = _silent


SILENT = Listener()
