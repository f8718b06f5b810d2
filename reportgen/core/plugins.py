"""Plug-ins: six folders of records, ours and those that installed packages offer by entry points.

A file in one of the folders is enough: the records of all its modules are found, in the order that they give. Another
package offers its own under the entry points ``reportgen.<folder>``. One that cannot be used is named with the reason,
in the report and on the terminal; all else stands without it. Only what is installed is ever loaded, never anything
that a report carries.
"""

import hashlib
import pkgutil
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from reportgen.errors import InputError, ReportgenError, nearest


@dataclass(frozen=True)
class Folder:
    """A folder of plug-ins: its package, the name that each module gives its record, and what such a plug-in is."""

    package: str
    attribute: str
    noun: str


FOLDERS: Mapping[str, Folder] = {
    "methods": Folder("reportgen.scoring.methods", "METHOD", "scoring method"),
    "suites": Folder("reportgen.scoring.data.suites", "SUITE", "suite"),
    "detectors": Folder("reportgen.analysis.detectors", "DETECTOR", "detector"),
    "topics": Folder("reportgen.summary.topics", "TOPIC", "topic"),
    "sections": Folder("reportgen.rendering.sections", "SECTION", "section"),
    "importers": Folder("reportgen.importers", "IMPORTER", "importer"),
}
PREFIX = "reportgen."  # of a folder's name, in the group of its entry points
SHARED = "common"  # the module, or package, of a folder that its plug-ins share
THEIRS = 500  # the order of records that name none: after ours
NAME = re.compile(r"[a-z][a-z0-9_]*")
ABSENT = "it is not installed here"
LONGEST = 200  # letters of a reason


@dataclass(frozen=True)
class Record:
    """What the records of all folders share: a name, and the order in which they are listed and run."""

    name: str
    order: int = field(default=THEIRS, kw_only=True)


Of = TypeVar("Of", bound=Record)


@dataclass(frozen=True)
class Plugin:
    """A plug-in as a report records it; ``error`` says why it is not in the report ("" where it is)."""

    group: str
    name: str
    package: str
    version: str
    error: str = ""

    def __str__(self) -> str:
        folder = FOLDERS.get(self.group.removeprefix(PREFIX))
        noun = folder.noun.split()[-1] if folder is not None else self.group
        return f"{noun} {self.name} of {self.package} {self.version}"

    @property
    def failure(self) -> str:
        """The failure in a sentence, "" where there is none."""
        return f"The {self} is left out: {self.error}." if self.error else ""

    def failed(self, error: BaseException) -> "Plugin":
        """Return the same plug-in, left out for what it raised."""
        return replace(self, error=reason(error))


@dataclass(frozen=True)
class Loaded(Generic[Of]):
    """A plug-in and what it offers: its record, None where it failed."""

    plugin: Plugin
    record: Of | None


_recorded: ContextVar[tuple[Plugin, ...] | None] = ContextVar("recorded", default=None)


def reason(error: BaseException) -> str:
    """Return what was raised, in one line that is the same on every machine: of paths the last part, no addresses."""
    message = f"{error.location}: {error.problem}" if isinstance(error, ReportgenError) else str(error)
    text = f"{type(error).__name__}: {message}".strip().removesuffix(":").splitlines()[0]
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", text)
    text = re.sub(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\s\\/'\":]+)+[\\/]([^\s\\/'\":]+)", r"…/\1", text)
    return text[:LONGEST].rstrip(". ")


@contextmanager
def as_recorded(plugins: Sequence[Plugin]) -> Iterator[None]:
    """Use, within the context, the plug-ins that a report records, whatever is installed; absent ones fail by name."""
    token = _recorded.set(tuple(plugins))
    try:
        yield
    finally:
        _recorded.reset(token)


def recorded_in(manifest: Mapping[str, Any]) -> tuple[Plugin, ...]:
    """Return the plug-ins that a manifest records; raises InputError where that list is damaged."""
    try:
        plugins = tuple(Plugin(**entry) for entry in manifest.get("plugins", ()))
        if not all(isinstance(text, str) for plugin in plugins for text in asdict(plugin).values()):
            raise TypeError
    except TypeError as error:
        raise InputError("its list of plug-ins is damaged", "manifest.json", "Make the report again") from error
    return plugins


def plain(plugins: Sequence[Plugin]) -> list[dict[str, str]]:
    """Return plug-ins as JSON values."""
    return [asdict(p) for p in plugins]


@dataclass(frozen=True)
class Registry(Generic[Of]):
    """The records of one folder, ours and other packages'; no plug-in of theirs may take a name of ours or one of
    ``reserved``.
    """

    folder: str
    record: type[Of]
    reserved: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The entry points under which other packages offer theirs."""
        return f"{PREFIX}{self.folder}"

    def own(self) -> tuple[Of, ...]:
        """Return reportgen's own records in their order."""
        return tuple(record for record in _own(self.folder) if isinstance(record, self.record))

    def third_party(self) -> tuple[Loaded[Of], ...]:
        """Return other packages' plug-ins in the order of their names, those that cannot be used among them."""
        return _third_party(self, tuple(_found(self.group)), tuple(sys.path))

    def known(self) -> tuple[Of, ...]:
        """Return all records that can be used, by their order; where it is equal ours first, others by name."""
        return tuple(self._by_name().values())

    def _by_name(self) -> Mapping[str, Of]:
        return _known(self, tuple(_found(self.group)), tuple(sys.path))

    def find(self, name: str) -> Of | None:
        """Return the record of that name, None where there is none."""
        return self._by_name().get(name)

    def chosen(self, names: Sequence[str] | None, location: str) -> tuple[Of, ...]:
        """Return the records of those names in the order of the names; all for None.

        Raises InputError for a name that is none. A plug-in that cannot be used is passed over; ``third_party`` says
        why.
        """
        usable = self._by_name()
        if names is None:
            return tuple(usable.values())
        failed = {each.plugin.name for each in self.third_party()}
        for name in names:
            if name not in usable and name not in failed:
                problem = f"no {FOLDERS[self.folder].noun} is called {name!r}"
                raise InputError(problem, location, nearest(name, list(usable)))
        return tuple(usable[name] for name in dict.fromkeys(names) if name in usable)

    def get(self, name: str, location: str) -> Of:
        """Return the record of that name; raises InputError with the nearest name, or why the plug-in failed."""
        found = self.chosen([name], location)
        if not found:
            plugin = next(each.plugin for each in self.third_party() if each.plugin.name == name)
            raise InputError(f"the {plugin} cannot be used ({plugin.error})", location, "Mend that package")
        return found[0]

    def used(self, names: Collection[str] | None) -> tuple[Plugin, ...]:
        """Return other packages' plug-ins of those names, all for None, those that cannot be used among them."""
        return tuple(each.plugin for each in self.third_party() if names is None or each.plugin.name in names)

    def template_folders(self) -> list[Path]:
        """Return the folders ``templates`` beside the modules that the group's entry points name."""
        sources = [_source(entry) for _, entry in _found(self.group) if entry is not None]
        return [f for f in dict.fromkeys(s.parent / "templates" for s in sources if s is not None) if f.is_dir()]


@lru_cache(maxsize=len(FOLDERS))
def _own(folder: str) -> tuple[Record, ...]:
    """Return the records of a folder's modules by their order; raises ImportError for a module that has none."""
    package = import_module(FOLDERS[folder].package)
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_") and m.name != SHARED]
    records = [_record(import_module(f"{package.__name__}.{name}"), FOLDERS[folder].attribute) for name in names]
    return tuple(sorted(records, key=lambda record: record.order))


def _record(module: ModuleType, attribute: str) -> Record:
    record = getattr(module, attribute, None)
    if not isinstance(record, Record):
        raise ImportError(f"{module.__name__} holds no {attribute}, which every module of its folder needs")
    return record


# Records are looked up for each finding of a report, and a plug-in that fails at import would be imported for each.
@lru_cache(maxsize=64)
def _known(
    registry: Registry[Of], found: tuple[tuple[Plugin, EntryPoint | None], ...], path: tuple[str, ...]
) -> dict[str, Of]:
    others = (each.record for each in _third_party(registry, found, path))
    records = [*registry.own(), *(record for record in others if record is not None)]
    return {record.name: record for record in sorted(records, key=lambda record: record.order)}


@lru_cache(maxsize=64)
def _third_party(
    registry: Registry[Of], found: tuple[tuple[Plugin, EntryPoint | None], ...], path: tuple[str, ...]
) -> tuple[Loaded[Of], ...]:
    ours = {*(record.name for record in _own(registry.folder)), *registry.reserved}
    made, taken = list[Loaded[Of]](), set(ours)
    for plugin, entry in found:
        error = plugin.error or _refusal(plugin, taken, ours)
        taken.add(plugin.name)
        if error or entry is None:
            made.append(Loaded(replace(plugin, error=error), None))
        else:
            made.append(_load(plugin, entry, registry.record))
    return tuple(made)


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
    """Return the entry points of a group; a package that stands on the path twice counts once, as imports see it."""
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


def _load(plugin: Plugin, entry: EntryPoint, kind: type[Of]) -> Loaded[Of]:
    """Return what the entry point names, or what is wrong with it."""
    try:
        made = entry.load()
        if not isinstance(made, kind):
            raise TypeError(f"{entry.value} is no {kind.__name__}")
        if made.name != entry.name:
            raise ValueError(f"it calls itself {made.name}")
    except (Exception, SystemExit) as error:
        return Loaded(plugin.failed(error), None)
    return Loaded(plugin, made)


def installed(plugin: Plugin) -> Plugin | None:
    """Return the same plug-in as it is installed here, perhaps in another version; None where it is not."""
    here = (_described(entry) for entry in _entries(plugin.group, tuple(sys.path)))
    return next((p for p in here if (p.name, p.package) == (plugin.name, plugin.package)), None)


def identity(folder: str, names: Collection[str] | None = None) -> list[list[str]]:
    """Return what makes others' plug-ins of a folder (those of these names) the same: version, source and templates;
    none is run.
    """
    found = [(p, entry) for p, entry in _found(f"{PREFIX}{folder}") if names is None or p.name in names]
    return [[p.name, p.package, p.version, _digest(entry)] for p, entry in found]


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
