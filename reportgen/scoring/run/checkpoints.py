"""The finished units of a run in a folder of their own, one run at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.scoring.run.record import RECORD, Record, keep_record, kept_record, refuse_changes, taken_over
from reportgen.scoring.run.shards import Unit, UnitScores, unit_bytes, unit_from
from reportgen.storage.remote_folders import LOCK, Check, StorageFolder


class Kept:
    """Keeps units in a folder or behind an fsspec URL; with ``where`` None they are kept nowhere.

    ``restart`` accepts that a run was started with other inputs, and keeps those of its units that are the same.
    """

    def __init__(self, where: Path | str | None, study: Study, restart: bool) -> None:
        self.place, self.study, self.restart = None if where is None else StorageFolder(where), study, restart
        self.still_ours: Check = lambda: None

    def gone_on_with(self, record: Record) -> Record:
        """The record, with the threads and the batch size of the run that is gone on with, if there is one.

        Raises InputError where another run is at work here, or where inputs have changed; changes nothing.
        """
        if self.place is None:
            return record
        self.place.refuse_busy()
        old = self._agreed(record)
        return taken_over(old, record) if old else record

    def _agreed(self, record: Record) -> Record | None:
        """The record of the run that is gone on with, with changes only where they are accepted; None: there is none.

        A unit's name holds the hash of its inputs, so that none of the units before a change can be taken for another.
        """
        assert self.place is not None, "only a folder holds a record"
        try:
            old = kept_record(self.place)
        except InputError:
            if not self.restart:
                raise
            return None
        if old is not None and not self.restart:
            refuse_changes(self.place, old, record, self.study)
        return old

    @contextmanager
    def held(self, record: Record) -> Iterator[None]:
        """Hold the folder's lock; raises InputError as ``gone_on_with`` does, now also where the model has changed."""
        if self.place is None:
            yield
            return
        with self.place.locked() as self.still_ours:
            if self._agreed(record) != record:
                keep_record(self.place, record)
            try:
                yield
            except InputError:
                if self.place.names() <= {LOCK, RECORD}:  # refused before anything was done: as if never begun
                    self.place.remove()
                raise

    def read(self, units: Sequence[Unit]) -> dict[str, UnitScores]:
        """The finished units among these, by key; what is broken is left out."""
        if self.place is None:
            return {}
        there = self.place.names()
        found = {u.key: unit_from(self.place.read(u.file), u.key) for u in units if u.file in there}
        return {key: scores for key, scores in found.items() if scores is not None}

    def write(self, unit: Unit, scores: UnitScores) -> None:
        """Keep a finished unit, whole or not at all; raises InputError where another run has taken the folder over."""
        if self.place is not None:
            self.still_ours()
            self.place.write(unit.file, unit_bytes(unit.key, scores))
