"""Who computes the shards: this process, or the workers of a Ray cluster. Both give the same bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import torch

from reportgen.core.config import Study
from reportgen.scoring.run.prepare import Prepared, prepare
from reportgen.scoring.run.shards import Begun, Shard, ShardScores, Within
from reportgen.scoring.run.worker import Worker


class Executor(Protocol):
    """Computes shards. ``prepared`` is what was read and checked for them, perhaps without the model itself."""

    prepared: Prepared

    def run(
        self, shards: Sequence[Shard], references: Mapping[str, int], begun: Begun, within: Within
    ) -> Iterator[tuple[Shard, ShardScores]]:
        """Yield the shards with their scores, in the order in which they are done.

        ``references`` are batch sizes of methods' references, by method, that finished shards were made with.
        """
        ...


@contextmanager
def executor(study: Study, threads: int, batch_size: int | None, notify: Callable[[str], None]) -> Iterator[Executor]:
    """Make the study's executor; its workers compute with so many ``threads``, and end with the context.

    ``batch_size`` is the one that an earlier run has found, as in ``prepare``.
    """
    if study.scoring.executor == "ray":
        from reportgen.scoring.run.ray_executor import on_ray

        with on_ray(study, threads, batch_size, notify) as cluster:
            yield cluster
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield Local(prepare(study, batch_size))
    finally:
        torch.set_num_threads(before)


class Local:
    """Computes the shards in this process, one after another."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def run(
        self, shards: Sequence[Shard], references: Mapping[str, int], begun: Begun, within: Within
    ) -> Iterator[tuple[Shard, ShardScores]]:
        """Yield the shards with their scores, in their order."""
        worker = Worker(self.prepared)
        for shard in shards:
            begun(shard.method)
            yield shard, worker.score(shard, partial(within, shard), reference_size=references.get(shard.method, 0))
