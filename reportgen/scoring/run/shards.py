"""Shards of scoring: one method on a shard of one task's examples, which any process may compute; each has a file.

A shard's result depends on the shard alone: its examples, the batches they stand in, the method, the model, and the
number of threads. Shards are whole batches of the plan, so that they do not change the batches; how many is set by the
method's cost alone, never by who computes them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load, save

from reportgen.core.plugins import identity
from reportgen.scoring.data.metrics import Baseline
from reportgen.scoring.methods.common.method import StudyScores
from reportgen.scoring.run.prepare import Chosen, Prepared, PreparedTask
from reportgen.storage.files import sha256
from reportgen.storage.json_files import canonical_json, key_of

SHARD_FORMAT = 6  # raised when the same inputs come to mean other numbers
# The least work of a shard, in plain forwards of one batch: what a killed run repeats at most. Cut by cost, never by
# the number of workers, so that bytes do not depend on them (docs/decisions/0016-shards.md)
SHARD_FORWARDS = 64
OVERALL = "overall"
SUMMARIES = ("diagnostics", OVERALL)  # what a method of all tasks says beside its scores


@dataclass(frozen=True)
class Shard:
    """A piece of work: ``batches`` of indices into the examples of task number ``task``, scored by ``chosen``.

    A method that scores all tasks in one go has one shard, without a task. ``key`` is a hash of all that the result
    depends on.
    """

    chosen: Chosen
    task: int | None
    batches: tuple[tuple[int, ...], ...]
    key: str

    @property
    def method(self) -> str:
        """The method's name."""
        return self.chosen.method.name

    @property
    def examples(self) -> int:
        """The number of examples."""
        return sum(map(len, self.batches))

    @property
    def file(self) -> str:
        """The name of the file that keeps the result."""
        return f"{self.method}-{self.key[:32]}.safetensors"


Begun = Callable[[str], None]  # gets a method's name when its first shard begins
Within = Callable[[Shard, int], None]  # gets a running shard and how many of its examples are done


@dataclass(frozen=True)
class ShardScores:
    """Signed scores of a shard's examples in the order of its batches (absent heads NaN), and the unchanged model's
    baseline (None: it was not asked for an answer). ``errors`` and ``checks`` as in ``BatchScores``.

    ``batch_size`` is the greatest that was used, smaller than planned where memory ran out, ``reference_size`` the same
    for the references that the method takes from all tasks (0: none).
    """

    values: Float[np.ndarray, "example site head"]
    baseline: Baseline | None
    errors: Float[np.ndarray, "example site head"] | None = None
    checks: Mapping[str, Float[np.ndarray, "example"]] = field(default_factory=dict)
    batch_size: int = 0
    reference_size: int = 0


def concatenated(parts: Sequence[ShardScores]) -> ShardScores:
    """Return the parts' examples in one, part after part, without sizes of batches."""
    baselines = [part.baseline for part in parts if part.baseline is not None]
    errors = [part.errors for part in parts if part.errors is not None]
    return ShardScores(
        np.concatenate([part.values for part in parts]),
        Baseline.joined(baselines) if baselines else None,
        np.concatenate(errors) if errors else None,
        {name: np.concatenate([part.checks[name] for part in parts]) for name in parts[0].checks},
    )


def shards_of(prepared: Prepared) -> tuple[Shard, ...]:
    """Cut all work into shards, in the order in which one process computes them."""
    hashed = [_hashed(task) for task in prepared.tasks]
    return tuple(shard for chosen in prepared.methods for shard in _of_method(prepared, chosen, hashed))


def _of_method(prepared: Prepared, chosen: Chosen, hashed: Sequence[Sequence[str]]) -> list[Shard]:
    tasks, same = prepared.tasks, _same(prepared, chosen)
    if chosen.method.together is not None:
        batches = tuple(batch for task in tasks for batch in task.batches)
        content = [[t.name, h, [r.group for r in t.rows], t.batches] for t, h in zip(tasks, hashed, strict=True)]
        return [Shard(chosen, None, batches, key_of([same, content]))]
    others = None
    if chosen.method.prepare is not None:  # its references come from the discovery half of every task
        others = [[t.name, h, t.discovery.tolist(), t.batches] for t, h in zip(tasks, hashed, strict=True)]
    least = max(1, round(SHARD_FORWARDS / chosen.method.forwards(prepared.model.heads, chosen.parameters)))
    shards = []
    for t, task in enumerate(tasks):
        step = len(task.batches) if prepared.races(chosen) else least  # a race is over a whole task
        for first in range(0, len(task.batches), step):
            part = task.batches[first : first + step]
            content = [[hashed[t][i] for i in batch] for batch in part]
            shards.append(Shard(chosen, t, part, key_of([same, task.name, content, others])))
    return shards


def _same(prepared: Prepared, chosen: Chosen) -> list[object]:
    scoring = prepared.study.scoring
    measured: list[object] = [scoring.metric, scoring.answer_reduction, scoring.positions, scoring.seed]
    if prepared.races(chosen):
        measured += [scoring.examples, prepared.top, scoring.confidence, scoring.exact_top]
    others_own = [] if chosen.plugin is None else identity("methods", [chosen.plugin.name])
    return [
        SHARD_FORMAT,
        chosen.method.name,
        chosen.parameters.model_dump(),
        measured,
        dict(prepared.identity),
        *others_own,
    ]


def _hashed(task: PreparedTask) -> list[str]:
    """Hash each example."""
    return [
        key_of([*e.content[:5], e.foil, e.corrupted, r.id, r.answer, r.answers, *e.content[5:]])
        for e, r in zip(task.encoded, task.rows, strict=True)
    ]


def flattened(made: StudyScores) -> dict[str, np.ndarray]:
    """Return what is said of each task and of all, as a shard's checks can hold it."""
    return {
        f"{summary}\n{check}\n{name}": np.array([np.nan if value is None else value])
        for summary in SUMMARIES
        for check, of in getattr(made, summary).items()
        for name, value in of.items()
    }


def unflattened(stored: Mapping[str, np.ndarray], wanted: str) -> dict[str, dict[str, float | None]]:
    """Return one part of it again, in an order of its own, which a file does not keep."""
    result: dict[str, dict[str, float | None]] = {}
    for key in sorted(stored):
        summary, check, name = key.split("\n", 2)
        if summary == wanted:
            value = float(stored[key][0])
            result.setdefault(check, {})[name] = None if np.isnan(value) else value
    return result


def shard_bytes(key: str, scores: ShardScores) -> bytes:
    """Return a shard's file, with its key and a checksum."""
    tensors = {"values": np.ascontiguousarray(scores.values)}
    if scores.baseline is not None:
        plain = scores.baseline
        tensors |= {"correct": plain.correct, "log_probability": plain.log_probability}
        tensors |= {} if plain.argmax is None else {"argmax": plain.argmax}
    if scores.errors is not None:
        tensors["errors"] = np.ascontiguousarray(scores.errors)
    tensors |= {f"check/{name}": np.ascontiguousarray(values) for name, values in scores.checks.items()}
    sizes = {"batch_size": scores.batch_size, "reference_size": scores.reference_size}
    described = canonical_json({"key": key, "sha256": _checksum(tensors), **sizes})
    return save(tensors, metadata={"reportgen": described})


def shard_from(data: bytes | None, key: str) -> ShardScores | None:
    """Read a finished shard, or None where its file is missing, broken or of other inputs (it is computed again)."""
    if data is None:
        return None
    try:
        # a safetensors file's header is JSON behind eight bytes that hold its length
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        tensors, described = load(data), json.loads(header["__metadata__"]["reportgen"])
        if described["key"] != key or described["sha256"] != _checksum(tensors):
            return None
        plain = None
        if "correct" in tensors:
            plain = Baseline(tensors["correct"], tensors["log_probability"], tensors.get("argmax"))
        checks = {n.removeprefix("check/"): a for n, a in tensors.items() if n.startswith("check/")}
        return ShardScores(
            tensors["values"],
            plain,
            tensors.get("errors"),
            checks,
            described["batch_size"],
            described["reference_size"],
        )
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checksum(tensors: dict[str, np.ndarray]) -> str:
    parts = [f"{name} {a.dtype} {a.shape} {sha256(a.tobytes())}" for name, a in sorted(tensors.items())]
    return sha256("\n".join(parts).encode())
