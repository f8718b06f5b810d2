"""Score every head on every task: prepare, cut into shards, compute each of them, assemble the scores."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from reportgen.core.config import Study
from reportgen.core.scores import HeadScores
from reportgen.scoring.run.assemble import assemble, smaller_batches
from reportgen.scoring.run.checkpoints import Checkpoints
from reportgen.scoring.run.executors import executor
from reportgen.scoring.run.prepare import Chosen, Prepared, without
from reportgen.scoring.run.progress import Progress, RunProgress
from reportgen.scoring.run.run_record import RunRecord, record_of
from reportgen.scoring.run.shards import Shard, shards_of

Notify = Callable[[str], None]


def _silent(*_: object) -> None:
    pass


def score(
    study: Study,
    *,
    progress: Progress = _silent,
    checkpoints: Path | str | None = None,
    notify: Notify = _silent,
    restart: bool = False,
) -> dict[str, tuple[HeadScores, ...]]:
    """Score the study's model on its tasks with each of its methods, the first method first.

    Return by method one HeadScores, of an encoder-decoder one for each of its blocks ``enc``, ``dec`` and ``cross``.
    The activation norm, their control, is added to cheap methods. ``progress("method: …", done, total)`` is called with
    the method's examples as they are done; the words say shards, speed and time left. ``checkpoints`` is a folder (a
    path, or any URL that fsspec reads) into which every finished shard is written and from which it is read again.
    ``notify`` gets a sentence for each thing a reader should know. ``restart`` accepts that an unfinished run was
    started with other inputs, and takes those of its shards that are the same.
    Raises InputError for whatever in the study, the task file or the model folder cannot be used, before any shard is
    written (but for a model that puts out NaN, which shows only when it runs), for a folder in which another run is at
    work, and, unless ``restart``, for one whose unfinished run was started with other inputs, naming what has changed.
    """
    store, noticed = Checkpoints(checkpoints, study, restart), set[str]()
    record = store.continue_run(record_of(study))
    with executor(study, record["threads"], record["batch_size"], notify) as workers:
        prepared = workers.prepared
        _complete(record, prepared, notify)
        with store.held(record):
            shards = shards_of(prepared)
            results = store.read(shards)
            steps = RunProgress(prepared, shards, results, progress)
            references = {s.method: results[s.key].reference_size for s in shards if s.key in results}
            for chosen, missing in _by_package(prepared, shards, results):
                try:
                    for shard, scores in workers.run(missing, references, steps.begin, steps.within):
                        store.write(shard, scores)
                        results[shard.key] = scores
                        steps.finish(shard)
                        sentence = smaller_batches(prepared, shard, scores)
                        if sentence and sentence not in noticed:
                            noticed.add(sentence)
                            notify(sentence)
                except Exception as error:
                    if chosen is None:
                        raise
                    prepared = without(prepared, chosen, error)
    return assemble(prepared, shards, results, notify)


def _complete(record: RunRecord, prepared: Prepared, notify: Notify) -> None:
    """Note in the record what shows only once the study is read, and tell the reader of it."""
    for note in prepared.notes:
        notify(note)
    record["identity"] = dict(prepared.identity)
    if prepared.study.scoring.batch_size == "auto":
        notify(f"batches of {prepared.batch_size} examples{'' if record['batch_size'] is None else ', as before'}")
        record["batch_size"] = prepared.batch_size


def _by_package(
    prepared: Prepared, shards: tuple[Shard, ...], finished: Collection[str]
) -> Iterator[tuple[Chosen | None, list[Shard]]]:
    """Yield the shards that are not finished: our own methods' together, then those of each other package's method.

    What another package's method raises must end that method alone.
    """
    missing = [shard for shard in shards if shard.key not in finished]
    yield None, [shard for shard in missing if shard.chosen.plugin is None]
    for chosen in prepared.methods:
        if chosen.plugin is not None:
            yield chosen, [shard for shard in missing if shard.method == chosen.method.name]
