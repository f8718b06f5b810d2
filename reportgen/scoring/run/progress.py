"""How far a run is: shards and examples done, examples a second, and the time that is left."""

import time
from collections.abc import Callable, Collection, Sequence

from reportgen.scoring.run.prepare import Prepared
from reportgen.scoring.run.shards import Shard

Progress = Callable[[str, int, int], None]


class RunProgress:
    """Reports every step to ``progress(stage, done, total)``: the method and what is left in words, and its examples.

    What an earlier run had finished counts as done but not as speed. The time left is that of all methods, each batch
    weighing as many forwards as its method costs. Times are of a clock that nobody sets, so that a machine's clock may
    jump.
    """

    def __init__(
        self,
        prepared: Prepared,
        shards: Sequence[Shard],
        finished: Collection[str],
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.progress, self.clock, heads = progress, clock, prepared.model.heads
        self.weights = {c.method.name: c.method.forwards(heads, c.parameters) for c in prepared.methods}
        self.total, self.done, self.shards, self.finished = (dict.fromkeys(self.weights, 0) for _ in range(4))
        for shard in shards:
            self.total[shard.method] += shard.examples
            self.shards[shard.method] += 1
            if shard.key in finished:
                self.done[shard.method] += shard.examples
                self.finished[shard.method] += 1
        self.before = dict(self.done)
        self.began, self.started = clock(), dict[str, float]()
        for method, total in self.total.items():
            if self.done[method] == total:  # nothing of it is left to begin
                self.begin(method)

    def begin(self, method: str) -> None:
        """Note that a method's first shard has begun, or that all of its shards were there already."""
        if method not in self.started:
            self.started[method] = self.clock()
            self._report(method, self.done[method])

    def within(self, shard: Shard, examples: int) -> None:
        """Report so many of a running shard's examples as done; the last of them count when the shard is stored."""
        if examples < shard.examples:
            self._report(shard.method, self.done[shard.method] + examples)

    def finish(self, shard: Shard) -> None:
        """Note that a shard is done and stored."""
        self.done[shard.method] += shard.examples
        self.finished[shard.method] += 1
        self._report(shard.method, self.done[shard.method])

    def _report(self, method: str, done: int) -> None:
        words = [f"{self.finished[method]} of {self.shards[method]} shards"]
        now, fresh = self.clock(), done - self.before[method]
        if fresh and now > self.started[method]:
            words.append(f"{fresh / (now - self.started[method]):.3g} examples/s")
        left = self._left(method, done, now)
        if left is not None:
            words.append(f"{_clock(left)} left")
        self.progress(f"{method}: {', '.join(words)}", done, self.total[method])

    def _left(self, method: str, done: int, now: float) -> float | None:
        """Return the seconds for what is left of all methods, at the speed so far; None before there is any."""
        reached = {**self.done, method: done}
        work = sum((reached[m] - self.before[m]) * weight for m, weight in self.weights.items())
        left = sum((self.total[m] - reached[m]) * weight for m, weight in self.weights.items())
        return left * (now - self.began) / work if work and now > self.began else None


def _clock(seconds: float) -> str:
    """Write hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
