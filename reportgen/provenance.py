"""When and with what a report was made."""

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from reportgen.errors import InputError

PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "jinja2", "weasyprint", "safetensors", "pydantic")


def created() -> str:
    """The moment of making in UTC: SOURCE_DATE_EPOCH where it is set, else now."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        mend = "Set it to whole seconds since 1970, or unset it"
        raise InputError(f"{epoch!r} is no moment", "environment variable SOURCE_DATE_EPOCH", mend) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Versions of the interpreter and of the packages that analysis and rendering use."""
    found = {"python": platform.python_version(), "implementation": sys.implementation.name}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
