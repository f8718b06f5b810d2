"""Reading study.toml: its content checked, its paths made absolute, single values set over it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from reportgen.core.config import Study
from reportgen.errors import InputError, nearest, unreachable


def load_study(path: Path) -> Study:
    """Read a study.toml; raises InputError naming the file and the key that does not fit."""
    try:
        source = path.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(source)
    except OSError as error:
        hint = "Give the path of a study.toml, or make one with `reportgen init`"
        raise unreachable(error) or InputError("no such file", str(path), hint) from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or a thousand brackets
        raise InputError(f"this is not TOML ({error})", str(path), "Mend the file at that place") from error
    return parse_study(raw, str(path), path.resolve().parent, source)


def parse_study(raw: Mapping[str, object], location: str, folder: Path, source: str = "") -> Study:
    """Check the content of a study.toml and make its paths absolute against ``folder``."""
    if "source" in raw:
        raise InputError("unknown key 'source'", location, "Remove it")
    try:
        study = Study.model_validate({**raw, "source": source})
    except ValidationError as error:
        raise _readable(error, location) from error
    try:
        return _resolve_paths(study, folder)
    except OSError as error:
        raise unreachable(error) or error from error


def _readable(error: ValidationError, location: str) -> InputError:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    where = f"{location}: [{parts[0]}] {'.'.join(parts[1:])}".rstrip() if parts else location
    if first["type"] == "extra_forbidden":
        known = _known_keys(parts[:-1])
        return InputError(f"unknown key {parts[-1]!r}", where, nearest(parts[-1], known))
    problem = first["msg"].removeprefix("Value error, ").rstrip(".")
    return InputError(
        f"{problem} (got {first['input']!r})" if parts else problem,
        where,
        "Change the value; `reportgen schema study` shows what is allowed",
    )


def _known_keys(section: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for part in section:
        annotation = model.model_fields[part].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return sorted(set(model.model_fields) - {"source"})


def _resolve_paths(study: Study, folder: Path) -> Study:
    updates: dict[str, object] = {}
    if study.tasks.path is not None:
        updates["tasks"] = study.tasks.beside(folder)
    if study.scores is not None:
        updates["scores"] = study.scores.model_copy(update={"path": folder / study.scores.path})
    if study.model is not None:
        named = {"path": study.model.path, "adapter": study.model.adapter}
        here = {key: folder / path for key, path in named.items() if isinstance(path, str)}
        updates["model"] = study.model.model_copy(
            update={key: str(path) for key, path in here.items() if path.exists()}
        )
    if study.report.templates is not None:
        updates["report"] = study.report.model_copy(update={"templates": folder / study.report.templates})
    found = study.model_copy(update=updates).named_as(None if study.model is None else study.model.path)
    for path in (found.tasks.path, found.scores and found.scores.path, found.report.templates):
        if isinstance(path, Path):
            path.exists()  # raises where it cannot be
    return found


def study_schema() -> dict[str, object]:
    """Return the JSON Schema of study.toml."""
    schema = Study.model_json_schema()
    schema["properties"].pop("source")
    return schema


def with_overrides(study: Study, values: Mapping[str, object], path: Path) -> Study:
    """Return the study with single values set over it, ``{"scoring.batch_size": 8}``; paths are relative to here."""
    if not values:
        return study
    raw = study.model_dump(mode="json", exclude_none=True, exclude_unset=True, exclude={"source"})
    for name, value in values.items():
        *tables, key = name.split(".")
        if not tables or not all((*tables, key)):
            raise InputError(f"{name!r} names no value", "--set", "Write section.key=value, as scoring.batch_size=8")
        within = raw
        for table in tables:
            within = within.setdefault(table, {})
            if not isinstance(within, dict):
                raise InputError(f"{table!r} is no table", f"--set {name}", "Set it whole")
        within[key] = value
    changed = parse_study(raw, f"{path} with --set", Path.cwd(), study.source)
    return changed if "model.path" in values else changed.named_as(study.model_as_written)
