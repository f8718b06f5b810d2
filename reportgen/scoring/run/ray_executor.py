"""Shards on the workers of a Ray cluster: Ray puts them on nodes, starts them and says which have died."""

from __future__ import annotations

import logging
import os
import platform
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from reportgen.core.config import HUB, Study
from reportgen.errors import InputError, MissingResourceError, ReportgenError, reason
from reportgen.scoring.run.memory import HINT
from reportgen.scoring.run.prepare import Prepared, chosen_methods, prepare
from reportgen.scoring.run.run_record import differing
from reportgen.scoring.run.shards import Begun, Shard, ShardScores, Within, shards_of
from reportgen.scoring.run.worker import Worker

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

Notify = Callable[[str], None]
DEATHS = 3  # so many workers may die over one shard before it is taken for the cause
PATIENCE = 60.0  # seconds without a running worker before the user reads what is waited for
RECOUNT = 2.0  # seconds after which the nodes are counted again while workers start
NO_MEMORY = ("running low on memory", "NODE_OUT_OF_MEMORY")  # what Ray says of workers that it ended for want of memory
ANSWERS_WITHIN = 30.0  # seconds for a cluster to answer
START = "Start one (`ray start --head`, docs/long-runs.md), and give its address, or none to compute on this machine"


@dataclass(frozen=True)
class Started:
    """A worker that is ready: its node's name, what its computations depend on, the keys of the shards it knows, and
    the batch size that they are cut to.
    """

    node: str
    identity: Mapping[str, str]
    shards: frozenset[str]
    batch_size: int


@contextmanager
def on_ray(study: Study, threads: int, batch_size: int | None, notify: Notify) -> Iterator[Cluster]:
    """Start workers on the study's cluster, each with one copy of the model, and one GPU where it computes on GPUs.

    Without an address a cluster of this machine alone is started, and ended with the context.
    Raises MissingResourceError without Ray or where no node has room for a worker, InputError where no cluster answers
    at the address, and where a worker cannot use the study, naming the node.
    """
    ray = _imported()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, study.scoring.address)
    try:
        yield Cluster(ray, study, threads, batch_size, notify)
    finally:
        if ours:
            ray.shutdown()


def _imported() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anyone unasked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning about what a later Ray will do
    try:
        import ray
    except ImportError as error:
        raise MissingResourceError(
            "Ray is not installed", '[scoring] executor "ray"', 'Install it with `pip install "reportgen[ray]"`'
        ) from error
    return ray


def _connect(ray: ModuleType, address: str | None) -> None:
    location = f"[scoring] address {address!r}" if address else '[scoring] executor "ray"'
    if address and address != "auto":
        _refuse_silent(address, location)
    options: dict[str, object] = {"address": address} if address else {"address": "local", "include_dashboard": False}
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds: no cluster, another version of Ray or Python, no memory for its store
        raise InputError(f"no Ray cluster can be joined there ({reason(error)})", location, START) from error


def _refuse_silent(address: str, location: str) -> None:
    """Raise InputError where nothing answers: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:  # ray:// is that of Ray's client, which is no node of the cluster
        raise InputError(
            "this is no address of a Ray cluster's head",
            location,
            'Write HOST:PORT, as `ray start --head` says it, or "auto", on a node of the cluster',
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()
        check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
        if subprocess.run(check, capture_output=True, timeout=ANSWERS_WITHIN, check=False).returncode == 0:
            return
        reason = "what is there is no Ray cluster, or one of another version, or it wants a token"
    except subprocess.TimeoutExpired:
        reason = "what is there is no Ray cluster"
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    raise InputError(f"no Ray cluster answers ({reason})", location, START)


@contextmanager
def named_node(study: Study) -> Iterator[None]:
    """Name this machine, within the context, beside the location of errors, and the files that it lacks."""
    try:
        yield
    except ReportgenError as error:
        location, hint = f"{error.location}, on the worker {platform.node()}", error.hint
        needed = (study.model and study.model.path, study.tasks.path)
        files = [str(path) for path in needed if path and not str(path).startswith(HUB)]
        absent = [path for path in files if not Path(path).expanduser().exists()]
        if absent:
            hint = (
                f"{' and '.join(absent)}: not on that machine. Every node needs the model and the task files at "
                "the same path, best on a disk that all of them share"
            )
        raise type(error)(error.problem, location, hint) from error


class RemoteWorker:
    """What runs on a node: reads the study there, and computes the shards that it is asked for by key."""

    def __init__(self, study: Study, threads: int, batch_size: int | None, sharing: int) -> None:
        torch.set_num_threads(threads)
        self.study, self.batch_size, self.sharing = study, batch_size, sharing

    def ready(self) -> Started:
        """Read the study and load the model; raises ReportgenError naming the node where that cannot be done."""
        with named_node(self.study):
            self.worker = Worker(prepare(self.study, self.batch_size, self.sharing))
        self.shards = {shard.key: shard for shard in shards_of(self.worker.prepared)}
        prepared = self.worker.prepared
        return Started(platform.node(), dict(prepared.identity), frozenset(self.shards), prepared.batch_size)

    def prepared(self) -> Prepared:
        """Return what was read and checked, without the model."""
        return self.worker.prepared.portable()

    def score(self, key: str, size: int, reference_size: int) -> ShardScores:
        """Score one shard, as ``Worker.score``."""
        with named_node(self.study):
            return self.worker.score(self.shards[key], lambda _: None, size, reference_size)


class Cluster:
    """Hands shards to the workers of a cluster; a worker that dies is replaced, and its shard computed again."""

    def __init__(self, ray: ModuleType, study: Study, threads: int, batch_size: int | None, notify: Notify) -> None:
        self.ray, self.study, self.threads, self.notify = ray, study, threads, notify
        resource, wanted = self._needs()
        on_gpus = resource == "GPU"
        self.actor = ray.remote(num_cpus=0 if on_gpus else wanted, num_gpus=wanted if on_gpus else 0)(RemoteWorker)
        # by what is waited for: worker and shard (None: starting)
        self.running: dict[ObjectRef[object], tuple[ActorHandle[RemoteWorker], Shard | None]] = {}
        self.idle, self.deaths, self.sizes = list["ActorHandle[RemoteWorker]"](), Counter[str](), dict[str, int]()
        room = self._room(resource, wanted)
        self.batch_size = batch_size
        self.sharing = 1 if on_gpus else max(number // wanted for number in self._nodes(resource))
        self.prepared: Prepared
        self.first: Started | None = None
        if study.scoring.batch_size == "auto" and batch_size is None:
            room -= 1
            self._first()  # it finds the batch size that all the others use
        for _ in range(room):
            self._start()
        self._first()
        self._others(resource, wanted)
        first: Prepared = ray.get(self.idle[0].prepared.remote())
        left_out = {plugin.name for plugin in first.plugins if plugin.error}
        methods = tuple(c for c in chosen_methods(study) if c.method.name not in left_out)
        self.prepared = replace(first, methods=methods, study=study)

    def run(
        self, shards: Sequence[Shard], references: Mapping[str, int], begun: Begun, within: Within
    ) -> Iterator[tuple[Shard, ShardScores]]:
        """Yield the shards as workers finish them, begun with those of all tasks, which last longest."""
        waiting, left = deque(sorted(shards, key=lambda shard: shard.task is not None)), len(shards)
        while left:
            while waiting and self.idle:
                shard, worker = waiting.popleft(), self.idle.pop()
                begun(shard.method)
                size, reference_size = self.sizes.get(shard.key, 0), references.get(shard.method, 0)
                self.running[worker.score.remote(shard.key, size, reference_size)] = worker, shard
            worker, finished, got = self._next()
            if isinstance(got, ShardScores) and finished is not None:
                left -= 1
                self.idle.append(worker)
                yield finished, got
            elif isinstance(got, Started):
                self._ready(worker, got)
            elif isinstance(got, Exception):
                self._lost(worker, finished, got)
                if finished is not None:
                    waiting.appendleft(finished)

    def _nodes(self, resource: str) -> list[int]:
        """Count how much of it each node has."""
        return [int(node["Resources"].get(resource, 0)) for node in self.ray.nodes() if node["Alive"]]

    def _capacity(self, resource: str, wanted: int) -> int:
        """Count how many workers fit on the nodes that live."""
        return sum(number // wanted for number in self._nodes(resource))

    def _needs(self) -> tuple[str, int]:
        """Say what a worker takes: a GPU, all of a node's where the model is spread, or its threads' cores."""
        model, gpus = self.study.model, [number for number in self._nodes("GPU") if number]
        if model is not None and model.device_map is not None and gpus:
            return "GPU", min(gpus)
        return ("GPU", 1) if model is not None and model.device.startswith("cuda") else ("CPU", self.threads)

    def _room(self, resource: str, wanted: int) -> int:
        """Count how many workers the cluster has room for; raise MissingResourceError where it has none."""
        room = self._capacity(resource, wanted)
        if not room:
            raise MissingResourceError(
                f"no node has {wanted} {resource} for a worker",
                "the Ray cluster",
                "Start a node that has them, or set OMP_NUM_THREADS to the threads that a worker may use",
            )
        return room

    def _first(self) -> None:
        """Wait until a worker is ready, if none is."""
        while not self.first:
            if not self.running:
                self._start()
            self._started()
        self.batch_size = self.first.batch_size

    def _others(self, resource: str, wanted: int) -> None:
        """Wait for the other workers, so that nothing is written before they are known to agree.

        Not for those whose node has died since the workers were counted, nor where none gets ready within PATIENCE:
        another's work may hold the cores. Those join the run when they are ready.
        """
        until = time.monotonic() + PATIENCE
        while self.running and len(self.idle) < self._capacity(resource, wanted):
            if time.monotonic() > until:
                self.notify(
                    f"{len(self.idle)} of {len(self.idle) + len(self.running)} workers are ready: "
                    "the others take part as soon as the cluster has room for them"
                )
                break
            before = len(self.idle)
            if self.ray.wait(list(self.running), num_returns=1, timeout=RECOUNT)[0]:
                self._started()
            if len(self.idle) > before:
                until = time.monotonic() + PATIENCE

    def _start(self) -> None:
        worker = self.actor.remote(self.study, self.threads, self.batch_size, self.sharing)
        self.running[worker.ready.remote()] = worker, None

    def _started(self) -> None:
        """Wait for a worker to be ready, or to die over it."""
        worker, _, got = self._next()
        if isinstance(got, Started):
            self._ready(worker, got)
        elif isinstance(got, Exception):
            self._lost(worker, None, got)

    def _ready(self, worker: ActorHandle[RemoteWorker], started: Started) -> None:
        """Take a worker into service that computes the same as the first; raises InputError where it would not."""
        self.first = first = self.first or started
        found = [
            name if name.startswith("the model's") else f"{name} ({now} and {was})"
            for name, was, now in differing(first.identity, started.identity)
        ]
        if not found and started.shards != first.shards:
            found = ["the task file"]
        if found:
            raise InputError(
                f"it and the worker {first.node} differ in {' and '.join(found)}",
                f"the worker {started.node}",
                "Give every node the same versions, model and task files, best on a disk that all of them share",
            )
        self.idle.append(worker)
        self.deaths[""] = 0  # only workers that die one after the other while they start show that none can

    def _next(self) -> tuple[ActorHandle[RemoteWorker], Shard | None, ShardScores | Started | Exception]:
        """Wait for the next worker that has something to say.

        Return it, its shard (None: it was starting), and what it says: an exception where it has died. Raise what the
        worker itself raised.
        """
        done = self.ray.wait(list(self.running), num_returns=1, timeout=PATIENCE)[0]
        if not done and not any(shard for _, shard in self.running.values()):
            self.notify(
                "no worker is ready: waiting for one to read the model, or for the cluster to have room for one"
            )
        done = done or self.ray.wait(list(self.running), num_returns=1)[0]
        worker, shard = self.running.pop(done[0])
        try:
            return worker, shard, self.ray.get(done[0])
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self.ray.exceptions.RayError as error:
            return worker, shard, error

    def _lost(self, worker: ActorHandle[RemoteWorker], shard: Shard | None, error: Exception) -> None:
        """Replace a worker that has died; raises where the same work has killed too many."""
        self.ray.kill(worker)  # it may only have been out of reach
        memory = any(sign in str(error) for sign in NO_MEMORY)
        what = "starting" if shard is None else f"{shard.method}, {self._task(shard)}"
        key = "" if shard is None else shard.key
        self.deaths[key] += 1
        if memory and shard is not None and shard.task is not None:
            self._smaller(shard)
        elif self.deaths[key] >= DEATHS:
            raise MissingResourceError(
                f"{DEATHS} workers died while {what}" if shard is None else f"{DEATHS} workers died over one shard",
                "the Ray cluster" if shard is None else what,
                "Look into Ray's logs on the nodes (/tmp/ray/session_latest/logs); finished shards are kept",
            ) from error
        why = "the node's memory ran out" if memory else "its process or node has gone"
        self.notify(f"a worker died ({what}; {why}): another one takes its place")
        self._start()

    def _smaller(self, shard: Shard) -> None:
        """Halve the batches for a shard that took more memory than the node had."""
        size = self.sizes.get(shard.key) or max(map(len, shard.batches))
        if size == 1:
            raise InputError("out of memory with batches of one example", self._task(shard), HINT)
        self.sizes[shard.key] = size // 2

    def _task(self, shard: Shard) -> str:
        return "all tasks" if shard.task is None else f"task {self.prepared.tasks[shard.task].name}"
