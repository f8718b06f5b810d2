"""How far a run is: units and examples done, examples a second, and the time that is left."""

import time
from collections.abc import Callable, Collection, Sequence

from reportgen.scoring.run.prepare import Prepared
from reportgen.scoring.run.shards import Unit

Progress = Callable[[str, int, int], None]


class Pace:
    """Reports every step to ``progress(stage, done, total)``: the method and what is left in words, and its examples.

    What an earlier run had finished counts as done but not as speed. The time left is that of all methods, each batch
    weighing as many forwards as its method costs. Times are of a clock that nobody sets, so that a machine's clock may
    jump.
    """

    def __init__(
        self,
        prepared: Prepared,
        units: Sequence[Unit],
        finished: Collection[str],
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress, self.clock, heads = progress, clock, prepared.model.heads
        self.weights = {c.method.name: c.method.forwards(heads, c.parameters) for c in prepared.methods}
        self.total, self.done, self.units, self.finished = (dict.fromkeys(self.weights, 0) for _ in range(4))
        for unit in units:
            self.total[unit.method] += unit.examples
            self.units[unit.method] += 1
            if unit.key in finished:
                self.done[unit.method] += unit.examples
                self.finished[unit.method] += 1
        self.before = dict(self.done)
        self.began, self.started = clock(), dict[str, float]()

    def begin(self, method: str) -> None:
        """A method's first unit has begun, or all of its units were there already."""
        if method not in self.started:
            self.started[method] = self.clock()
            self._tell(method, self.done[method])

    def within(self, unit: Unit, examples: int) -> None:
        """So many of a running unit's examples are done; the last of them count when the unit is kept."""
        if examples < unit.examples:
            self._tell(unit.method, self.done[unit.method] + examples)

    def finish(self, unit: Unit) -> None:
        """A unit is done and kept."""
        self.done[unit.method] += unit.examples
        self.finished[unit.method] += 1
        self._tell(unit.method, self.done[unit.method])

    def _tell(self, method: str, done: int) -> None:
        said = [f"{self.finished[method]} of {self.units[method]} units"]
        now, fresh = self.clock(), done - self.before[method]
        if fresh and now > self.started[method]:
            said.append(f"{fresh / (now - self.started[method]):.3g} examples/s")
        left = self._left(method, done, now)
        if left is not None:
            said.append(f"{_clock(left)} left")
        self.progress(f"{method}: {', '.join(said)}", done, self.total[method])

    def _left(self, method: str, done: int, now: float) -> float | None:
        """Seconds for what is left of all methods, at the speed so far; None before there is any."""
        reached = {**self.done, method: done}
        work = sum((reached[m] - self.before[m]) * weight for m, weight in self.weights.items())
        left = sum((self.total[m] - reached[m]) * weight for m, weight in self.weights.items())
        return left * (now - self.began) / work if work and now > self.began else None


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
