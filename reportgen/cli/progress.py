"""Progress of long commands: bars on a terminal, plain lines elsewhere, always on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reportgen.cli.console import plain
from reportgen.cli.streams import say
from reportgen.core.listener import SILENT, Listener


@contextmanager
def progress(quiet: bool, as_json: bool) -> Iterator[Listener]:
    """Give a listener that shows bars on a terminal and plain lines elsewhere, always on stderr."""
    if quiet:
        yield SILENT
    elif sys.stderr.isatty():
        with bars() as listener:
            yield listener
    else:
        yield lines()


@contextmanager
def bars() -> Iterator[Listener]:
    """Give a listener that shows progress bars."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True)) as display:
        rows: dict[str, TaskID] = {}

        def step(stage: str, done: int, total: int) -> None:
            name = stage.partition(":")[0]
            if name not in rows:
                rows[name] = display.add_task(escape(plain(stage)), total=total)
            display.update(rows[name], completed=done, total=total, description=escape(plain(stage)))

        yield Listener(step, lambda text: display.console.print(escape(plain(text))))


def lines() -> Listener:
    """Return a listener that prints plain lines, at most one for every tenth of a stage."""
    last: dict[str, int] = {}

    def step(stage: str, done: int, total: int) -> None:
        name, _, detail = stage.partition(": ")
        tenth = 10 * done // max(total, 1)
        if last.get(name) != tenth:
            last[name] = tenth
            say(plain(f"{stage} ({done}/{total})" if detail else f"{name}: {done}/{total}"))

    return Listener(step, lambda text: say(plain(text)))
