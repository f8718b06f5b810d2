"""The finished shards of a run in a folder of their own, one run at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.run.run_record import RECORD, RunRecord, continued, read_record, refuse_changes, write_record
from reportgen.scoring.run.shards import Shard, ShardScores, shard_bytes, shard_from
from reportgen.storage.remote_folders import LOCK, Check, StorageFolder


class Checkpoints:
    """Keeps shards in a folder or behind an fsspec URL; with ``where`` None they are kept nowhere.

    ``restart`` accepts that a run was started with other inputs, and keeps those of its shards that are the same.
    """

    def __init__(self, where: Path | str | None, study: Study, restart: bool) -> None:
        self.folder, self.study, self.restart = None if where is None else StorageFolder(where), study, restart
        self.still_ours: Check = lambda: None

    def continue_run(self, record: RunRecord) -> RunRecord:
        """Return the record, with the threads and the batch size of the run that is gone on with, if there is one.

        Raises InputError where another run is at work here, or where inputs have changed; changes nothing.
        """
        if self.folder is None:
            return record
        self.folder.refuse_busy()
        old = self._agreed(record)
        return continued(old, record) if old else record

    def _agreed(self, record: RunRecord) -> RunRecord | None:
        """Return the record of the run that goes on, changed where that is accepted (None: there is none).

        A shard's name holds the hash of its inputs, so that no shard from before a change can be taken for another.
        """
        assert self.folder is not None, "only a folder holds a record"
        try:
            old = read_record(self.folder)
        except InputError:
            if not self.restart:
                raise
            return None
        if old is not None and not self.restart:
            refuse_changes(self.folder, old, record, self.study)
        return old

    @contextmanager
    def held(self, record: RunRecord) -> Iterator[None]:
        """Hold the folder's lock; raises InputError as ``continue_run`` does, now also where the model has changed."""
        if self.folder is None:
            yield
            return
        with self.folder.locked() as self.still_ours:
            if self._agreed(record) != record:
                write_record(self.folder, record)
            try:
                yield
            except InputError:
                if self.folder.names() <= {LOCK, RECORD}:  # refused before anything was done: as if never begun
                    self.folder.remove()
                raise

    def read(self, shards: Sequence[Shard]) -> dict[str, ShardScores]:
        """Read the finished shards among these, by key; what is broken is left out."""
        if self.folder is None:
            return {}
        there = self.folder.names()
        found = {u.key: shard_from(self.folder.read(u.file), u.key) for u in shards if u.file in there}
        return {key: scores for key, scores in found.items() if scores is not None}

    def write(self, shard: Shard, scores: ShardScores) -> None:
        """Keep a finished shard, whole or not at all; raises InputError where another run has taken the folder over."""
        if self.folder is not None:
            self.still_ours()
            self.folder.write(shard.file, shard_bytes(shard.key, scores))
