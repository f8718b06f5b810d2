"""When and with what a report was made."""

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from reportgen.errors import InputError

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "jinja2",
    "weasyprint",
    "safetensors",
    "pydantic",
    "pydyf",
    "fonttools",
    "rocrate",
)
LATEST = 253_402_300_799  # the last second of the year 9999, which four digits can write


def epoch() -> datetime | None:
    """The moment that SOURCE_DATE_EPOCH sets; None where it is unset or empty, and then it is unset.

    Raises InputError for what is no moment up to the year 9999. To be asked before matplotlib is loaded, which reads
    that variable itself.
    """
    said = os.environ.get("SOURCE_DATE_EPOCH")
    if not said:
        os.environ.pop("SOURCE_DATE_EPOCH", None)
        return None
    if not re.fullmatch(r"[0-9]{1,12}", said) or int(said) > LATEST:
        hint = "Set it to whole seconds since 1970, or unset it"
        raise InputError(f"{said[:40]!r} is no moment", "environment variable SOURCE_DATE_EPOCH", hint)
    return datetime.fromtimestamp(int(said), UTC)


_claimed: ContextVar[Mapping[str, str] | None] = ContextVar("claimed", default=None)


def created() -> str:
    """The moment of making in UTC: SOURCE_DATE_EPOCH where it is set, else now."""
    return (epoch() or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def at(moment: str | None) -> Iterator[None]:
    """Within it, the moment of making is the one that ``created`` once gave; unchanged for None.

    Raises InputError for what is no such moment.
    """
    if moment is None:
        yield
        return
    try:
        epoch = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError) as error:
        raise InputError(f"{moment!r} is no moment", "manifest.json: created", "Make the report again") from error
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(epoch))
    try:
        yield
    finally:
        os.environ.pop("SOURCE_DATE_EPOCH")
        if before is not None:
            os.environ["SOURCE_DATE_EPOCH"] = before


@contextmanager
def made_with(claimed: Mapping[str, str]) -> Iterator[None]:
    """Within it, ``versions`` are those that a report claims: it is made again with the same words and keys."""
    token = _claimed.set(claimed)
    try:
        yield
    finally:
        _claimed.reset(token)


def versions() -> dict[str, str]:
    """Versions of the interpreter and of the packages that analysis and rendering use, or those of ``made_with``."""
    claimed = _claimed.get()
    if claimed is not None:
        known = ("python", "implementation", *PACKAGES)
        return {name: claimed[name] for name in known if name in claimed}
    return versions_here()


def versions_here() -> dict[str, str]:
    """The versions that are installed."""
    return dict(_installed())


@cache
def _installed() -> dict[str, str]:
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
