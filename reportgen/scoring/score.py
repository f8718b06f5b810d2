"""Score every head on every task: each method, unit by unit, so that finished units are kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from reportgen.core.config import Study
from reportgen.core.scores import HeadScores
from reportgen.scoring.data.metrics import Baseline
from reportgen.scoring.run.assemble import Scored, assemble, described_tasks
from reportgen.scoring.run.checkpoints import Kept
from reportgen.scoring.run.executors import Executor, executor
from reportgen.scoring.run.prepare import Chosen, Prepared, without
from reportgen.scoring.run.progress import Pace, Progress
from reportgen.scoring.run.racing import finish
from reportgen.scoring.run.record import record_of
from reportgen.scoring.run.shards import SAID, Unit, UnitScores, unflattened, units_of

Notify = Callable[[str], None]
SMALLER = "batch size after memory ran out"  # a diagnostic of the tasks to which it happened


def _silent(*_: object) -> None:
    pass


def score(
    study: Study,
    *,
    progress: Progress = _silent,
    units: Path | str | None = None,
    notify: Notify = _silent,
    restart: bool = False,
) -> dict[str, tuple[HeadScores, ...]]:
    """Score the study's model on its tasks with each of its methods, the first method first.

    Each method gives one HeadScores, an encoder-decoder's one for each of its blocks ``enc``, ``dec`` and ``cross``.
    The activation norm, their control, is added to cheap methods. ``progress("method: …", done, total)`` is told the
    method's examples as they are done; the words say units, speed and time left. ``units`` is a folder (a path, or any
    URL that fsspec reads) in which every finished unit is kept and from which it is taken again. ``notify`` gets a
    sentence for each thing a reader should know. ``restart`` accepts that an unfinished run was started with other
    inputs, and keeps those of its units that are the same.
    Raises InputError for whatever in the study, the task file or the model folder cannot be used, before any unit is
    written (but for a model that puts out NaN, which shows only when it runs), for a folder in which another run is at
    work, and, unless ``restart``, for one whose unfinished run was started with other inputs, naming what has changed.
    """
    kept = Kept(units, study, restart)
    record = kept.gone_on_with(record_of(study))
    with executor(study, record["threads"], record["batch_size"], notify) as computing:
        prepared = computing.prepared
        for note in prepared.notes:
            notify(note)
        record["identity"] = dict(prepared.identity)
        if study.scoring.batch_size == "auto":
            notify(f"batches of {prepared.batch_size} examples{'' if record['batch_size'] is None else ', as before'}")
            record["batch_size"] = prepared.batch_size
        with kept.held(record):
            planned = units_of(prepared)
            results, prepared = _computed(computing, planned, kept, progress, notify)
    scored = [_of_method(prepared, chosen, planned, results, notify) for chosen in prepared.methods]
    tasks = described_tasks(prepared, scored)
    made = {each.chosen.method.name: assemble(prepared, each, tasks) for each in scored}
    return {name: tuple(replace(b, plugins=prepared.plugins) for b in blocks) for name, blocks in made.items()}


def _computed(
    computing: Executor, planned: tuple[Unit, ...], kept: Kept, progress: Progress, notify: Notify
) -> tuple[dict[str, UnitScores], Prepared]:
    """All units' scores by key: those that are kept, and the others computed and kept as they are done.

    A further method of another package that raises is left out of what was prepared.
    """
    prepared = computing.prepared
    results = kept.read(planned)
    references = {u.method: results[u.key].reference_size for u in planned if u.key in results}
    pace, told = Pace(computing.prepared, planned, results, progress), set[str]()
    missing = [unit for unit in planned if unit.key not in results]
    for method in dict.fromkeys(u.method for u in planned if u.method not in {m.method for m in missing}):
        pace.begin(method)

    def compute(units: Sequence[Unit]) -> None:
        for unit, scores in computing.run(units, references, pace.begin, pace.within):
            kept.write(unit, scores)
            results[unit.key] = scores
            pace.finish(unit)
            said = _smaller(computing.prepared, unit, scores)
            if said and said not in told:
                told.add(said)
                notify(said)

    compute([unit for unit in missing if unit.chosen.plugin is None])
    for chosen in (c for c in prepared.methods if c.plugin is not None):
        try:
            compute([unit for unit in missing if unit.method == chosen.method.name])
        except Exception as error:
            prepared = without(prepared, chosen, error)
    return results, prepared


def _smaller(prepared: Prepared, unit: Unit, scores: UnitScores) -> str | None:
    """What to say of a unit that memory was too small for."""
    if unit.task is None or scores.batch_size == max(map(len, unit.batches)):
        return None
    return f"memory ran out in task {prepared.tasks[unit.task].name}: going on with batches of {scores.batch_size}"


def _of_method(
    prepared: Prepared, chosen: Chosen, planned: tuple[Unit, ...], results: Mapping[str, UnitScores], notify: Notify
) -> Scored:
    """A method's scores task by task, each in file order."""
    mine = [unit for unit in planned if unit.method == chosen.method.name]
    if chosen.method.together is not None:
        stored = results[mine[0].key]
        parts = np.split(stored.values, np.cumsum([len(t.encoded) for t in prepared.tasks])[:-1])
        units = tuple(UnitScores(part, None) for part in parts)
        return Scored(chosen, units, *(unflattened(stored.checks, said) for said in SAID))
    shards: list[list[Unit]] = [[] for _ in prepared.tasks]
    for unit in mine:
        assert unit.task is not None, "only methods of all tasks have units without one"
        shards[unit.task].append(unit)
    joined = tuple(_joined(of_task, results) for of_task in shards)
    overall: dict[str, dict[str, float | None]] = {}
    if prepared.races(chosen):
        ended = [finish(prepared, chosen, task, unit) for task, unit in zip(prepared.tasks, joined, strict=True)]
        joined = tuple(unit for _, unit, _ in ended)
        for said, _, effects in ended:
            notify(said)
            overall |= {title: dict(of) for title, of in effects.items()}
    return Scored(chosen, joined, _shrunk(prepared, mine, results), overall)


def _shrunk(
    prepared: Prepared, mine: list[Unit], results: Mapping[str, UnitScores]
) -> dict[str, dict[str, float | None]]:
    """The smallest batch of each task for which memory was too small: the last digits depend on it."""
    found: dict[str, float | None] = {}
    for unit in mine:
        if unit.task is not None and _smaller(prepared, unit, results[unit.key]):
            name, size = prepared.tasks[unit.task].name, results[unit.key].batch_size
            found[name] = min(size, found.get(name) or size)
    return {SMALLER: found} if found else {}


def _joined(units: list[Unit], results: Mapping[str, UnitScores]) -> UnitScores:
    """A task's units as one: they go by length, its results by place in the file."""
    order = np.argsort([i for unit in units for batch in unit.batches for i in batch])
    scored = [results[unit.key] for unit in units]

    def together(arrays: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)[order]

    plain = [s.baseline for s in scored if s.baseline is not None]
    errors = [s.errors for s in scored if s.errors is not None]
    return UnitScores(
        together([s.values for s in scored]),
        Baseline(together([b.correct for b in plain]), together([b.log_probability for b in plain])) if plain else None,
        together(errors) if errors else None,
        {name: together([s.checks[name] for s in scored]) for name in scored[0].checks},
    )
