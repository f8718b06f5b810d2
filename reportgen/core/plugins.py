"""Plug-ins: sections, detectors and methods that installed packages offer by entry points.

A plug-in that cannot be used is named with the reason, in the report and on the terminal; all else stands without it.
Only what is installed is ever loaded, never anything that a report carries.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from reportgen.errors import InputError, ReportgenError

KINDS = {"reportgen.sections": "section", "reportgen.detectors": "detector", "reportgen.methods": "method"}
NAME = re.compile(r"[a-z][a-z0-9_]*")
ABSENT = "it is not installed here"
LONGEST = 200  # letters of a reason
Record = TypeVar("Record")


@dataclass(frozen=True)
class Plugin:
    """A plug-in as a report records it; ``error`` says why it is not in the report ("" where it is)."""

    group: str
    name: str
    package: str
    version: str
    error: str = ""

    def __str__(self) -> str:
        return f"{KINDS.get(self.group, self.group)} {self.name} of {self.package} {self.version}"

    @property
    def told(self) -> str:
        """The failure in a sentence, "" where there is none."""
        return f"The {self} is left out: {self.error}." if self.error else ""

    def failed(self, error: BaseException) -> "Plugin":
        """The same, left out for what it raised."""
        return replace(self, error=reason(error))


@dataclass(frozen=True)
class Loaded(Generic[Record]):
    """A plug-in and what it offers: its record, None where it failed."""

    plugin: Plugin
    record: Record | None


_recorded: ContextVar[tuple[Plugin, ...] | None] = ContextVar("recorded", default=None)


def reason(error: BaseException) -> str:
    """What was raised, in one line that is the same on every machine: of paths the last part, no addresses."""
    said = f"{error.place}: {error.problem}" if isinstance(error, ReportgenError) else str(error)
    text = f"{type(error).__name__}: {said}".strip().removesuffix(":").splitlines()[0]
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", text)
    text = re.sub(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\s\\/'\":]+)+[\\/]([^\s\\/'\":]+)", r"…/\1", text)
    return text[:LONGEST].rstrip(". ")


@contextmanager
def as_recorded(plugins: Sequence[Plugin]) -> Iterator[None]:
    """Within it, the plug-ins are those that a report records, whatever else is installed; others fail by name."""
    token = _recorded.set(tuple(plugins))
    try:
        yield
    finally:
        _recorded.reset(token)


def recorded_in(manifest: dict[str, Any]) -> tuple[Plugin, ...]:
    """The plug-ins that a manifest records; raises InputError where that list is damaged."""
    try:
        plugins = tuple(Plugin(**entry) for entry in manifest.get("plugins", ()))
        if not all(isinstance(text, str) for plugin in plugins for text in asdict(plugin).values()):
            raise TypeError
    except TypeError as error:
        raise InputError("its list of plug-ins is damaged", "manifest.json", "Make the report again") from error
    return plugins


def plain(plugins: Sequence[Plugin]) -> list[dict[str, str]]:
    """Plug-ins as JSON values."""
    return [asdict(p) for p in plugins]


def loaded(
    group: str, kind: type[Record], name_of: Callable[[Record], str], ours: Collection[str]
) -> tuple[Loaded[Record], ...]:
    """The plug-ins of a group in the order of their names, with their records.

    ``kind`` is the class that a record must be of, ``name_of`` reads its name, which must be the entry point's and none
    of ``ours``.
    """
    found, taken = list[Loaded[Record]](), set(ours)
    for plugin, entry in _found(group):
        error = plugin.error or _refusal(plugin, taken, ours)
        taken.add(plugin.name)
        if error or entry is None:
            found.append(Loaded(replace(plugin, error=error), None))
        else:
            found.append(_load(plugin, entry, kind, name_of))
    return tuple(found)


def _found(group: str) -> list[tuple[Plugin, EntryPoint | None]]:
    here = [(_described(entry), entry) for entry in _entries(group, tuple(sys.path))]
    wanted = _recorded.get()
    if wanted is None:
        return [*here]
    known = {(p.name, p.package): (p, entry) for p, entry in here}
    found: list[tuple[Plugin, EntryPoint | None]] = []
    for old in (p for p in wanted if p.group == group):
        there = known.get((old.name, old.package))
        # a report made without it is made again without it
        found.append((replace(old, error=ABSENT), None) if there is None or old.error == ABSENT else there)
    return found


@lru_cache(maxsize=32)
def _entries(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of a group; a package that stands on the path twice counts once, as imports see it."""
    unique = {(e.name, _package(e)): e for e in reversed(list(entry_points(group=group)))}
    return tuple(unique[key] for key in sorted(unique))


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module


def _described(entry: EntryPoint) -> Plugin:
    return Plugin(entry.group, entry.name, _package(entry), entry.dist.version if entry.dist is not None else "unknown")


def _refusal(plugin: Plugin, taken: Collection[str], ours: Collection[str]) -> str:
    if plugin.name in ours:
        return f"{plugin.name} is a name of reportgen’s own"
    if plugin.name in taken:
        return "another plug-in has this name"
    if not NAME.fullmatch(plugin.name):
        return "its name is not of lower-case letters, digits and _"
    return ""


def _load(plugin: Plugin, entry: EntryPoint, kind: type[Record], name_of: Callable[[Record], str]) -> Loaded[Record]:
    """What the entry point names, or what is wrong with it."""
    try:
        made = entry.load()
        if not isinstance(made, kind):
            raise TypeError(f"{entry.value} is no {kind.__name__}")
        if name_of(made) != entry.name:
            raise ValueError(f"it calls itself {name_of(made)}")
    except (Exception, SystemExit) as error:
        return Loaded(plugin.failed(error), None)
    return Loaded(plugin, made)


def installed(plugin: Plugin) -> Plugin | None:
    """The same plug-in as it is installed here, perhaps in another version; None where it is not."""
    here = (_described(entry) for entry in _entries(plugin.group, tuple(sys.path)))
    return next((p for p in here if (p.name, p.package) == (plugin.name, plugin.package)), None)


def identity(group: str, names: Collection[str] | None = None) -> list[list[str]]:
    """What makes a group's plug-ins (those of these names) the same: version, source and templates; none is run."""
    return [
        [p.name, p.package, p.version, _digest(entry)] for p, entry in _found(group) if names is None or p.name in names
    ]


def _digest(entry: EntryPoint | None) -> str:
    source = None if entry is None else _source(entry)
    if source is None:
        return ""
    files = [source, *sorted(p for p in (source.parent / "templates").rglob("*") if p.is_file())]
    return hashlib.sha256(b"\0".join(p.read_bytes() for p in files)).hexdigest()


def _source(entry: EntryPoint) -> Path | None:
    try:
        spec = find_spec(entry.module)
    except (Exception, SystemExit):  # a package's own code runs to find what is in it
        return None
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None


def template_folders(group: str) -> list[Path]:
    """The folders ``templates`` beside the modules that a group's entry points name."""
    sources = [_source(entry) for _, entry in _found(group) if entry is not None]
    return [f for f in dict.fromkeys(s.parent / "templates" for s in sources if s is not None) if f.is_dir()]
