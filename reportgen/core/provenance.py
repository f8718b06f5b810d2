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
    """Return the moment that SOURCE_DATE_EPOCH sets; None where it is unset or empty, and then unset it.

    Raises InputError for what is no moment up to the year 9999. To be asked before matplotlib is loaded, which reads
    that variable itself.
    """
    value = os.environ.get("SOURCE_DATE_EPOCH")
    if not value:
        os.environ.pop("SOURCE_DATE_EPOCH", None)
        return None
    if not re.fullmatch(r"[0-9]{1,12}", value) or int(value) > LATEST:
        hint = "Set it to whole seconds since 1970, or unset it"
        raise InputError(f"{value[:40]!r} is no moment", "environment variable SOURCE_DATE_EPOCH", hint)
    return datetime.fromtimestamp(int(value), UTC)


_claimed: ContextVar[Mapping[str, str] | None] = ContextVar("claimed", default=None)


def created() -> str:
    """Return the moment of making in UTC: SOURCE_DATE_EPOCH where it is set, else now."""
    return (epoch() or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def at(moment: str | None) -> Iterator[None]:
    """Set the moment of making, within the context, to one that ``created`` once gave; change nothing for None.

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
    """Let ``versions`` be, within the context, those that a report claims: it is made again with the same words."""
    token = _claimed.set(claimed)
    try:
        yield
    finally:
        _claimed.reset(token)


def versions() -> dict[str, str]:
    """Return the versions of interpreter and packages that analysis and rendering use, or those of ``made_with``."""
    claimed = _claimed.get()
    if claimed is not None:
        known = ("python", "implementation", *PACKAGES)
        return {name: claimed[name] for name in known if name in claimed}
    return versions_here()


def versions_here() -> dict[str, str]:
    """Return the versions that are installed."""
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
