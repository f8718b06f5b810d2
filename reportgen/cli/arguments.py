"""What the command line sets: values over the study file, and the command as a report records it."""

import re
import sys
from pathlib import Path

from reportgen.errors import InputError


def overrides(pairs: list[str] | None, **flags: object) -> dict[str, object]:
    """Return the values that flags and --set give, by their key in study.toml (``scoring.method``)."""
    import tomllib

    keys = {
        "method": "scoring.method",
        "limit": "tasks.limit",
        "executor": "scoring.executor",
        "address": "scoring.address",
        "anonymous": "report.anonymous",
        "templates": "report.templates",
        "assets": "report.assets",
        "venue": "report.venue",
    }
    flagged = {keys[n]: v for n, v in flags.items() if v is not None}
    values = {key: str(v) if isinstance(v, Path) else v for key, v in flagged.items()}
    for pair in pairs or ():
        name, equals, raw = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r} sets nothing", "--set", "Write section.key=value, as scoring.batch_size=8")
        try:
            values[name.strip()] = tomllib.loads(f"value = {raw}")["value"]
        except (ValueError, RecursionError):
            values[name.strip()] = raw  # plain text needs no quotes
    return values


def command() -> str:
    """Return the command as it was typed, less what changes no byte of a report: where it goes, what is printed.

    Of absolute paths the last part alone stays, so that a report is the same whoever makes it where.
    """
    import shlex

    words, arguments = ["reportgen"], iter(sys.argv[1:])
    for word in arguments:
        if word in ("-o", "--output"):
            next(arguments, None)
        elif word not in ("--quiet", "--json", "--force") and not re.match("-o.|--output=", word):
            words.append(Path(word).name if Path(word).is_absolute() else word)
    return shlex.join(words)
