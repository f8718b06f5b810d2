"""manifest.json: hash and size of every file of a report."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TypedDict, cast

from reportgen.errors import InputError
from reportgen.storage.files import sha256_file

# Bytes of a file's name within a report, its folders' names included: Linux and macOS refuse longer parts (NAME_MAX).
LONGEST_NAME = 255
MANIFEST = "reportgen/manifest/1"


class FileEntry(TypedDict, total=False):
    """What a manifest says of a file: its sha256 in hexadecimal, and its size in bytes."""

    sha256: str
    size: int


class Manifest(TypedDict, total=False):
    """The content of manifest.json: what a report was made with, and its files by name; ``lacking`` are characters that
    no font of the machine had.
    """

    schema: str
    reportgen: str
    created: str
    command: str
    overrides: dict[str, object]
    templates_left_out: list[str]
    keys: dict[str, str]
    seeds: dict[str, int]
    versions: dict[str, str]
    plugins: list[dict[str, str]]
    lacking: str
    files: dict[str, FileEntry]


def manifest(folder: Path, **extra: object) -> dict[str, object]:
    """Return hash and size of every file in the folder but the manifest itself, the PDF and hidden files; ``extra``
    first.
    """
    left_out = {"manifest.json", "report.pdf", "ro-crate-metadata.json", "manifest.json.sig", "report.pdf.sig"}
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in left_out and not any(p.startswith(".") for p in name.split("/")):
            files[name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    return {"schema": MANIFEST, **extra, "files": files}


def checked_manifest(content: object, location: str) -> Manifest:
    """Return a manifest.json's content; raises InputError for one of a newer version, and for what is none."""
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(content, dict) or schema != MANIFEST:
        newer = isinstance(schema, str) and schema.startswith(MANIFEST.rpartition("/")[0])
        problem = f"a newer reportgen made it ({schema}; this one reads {MANIFEST})" if newer else "it is no manifest"
        raise InputError(problem, location, "Install that version" if newer else "Make the report again")
    refuse_files(content, location)
    for key, kind, called in (
        ("created", str, "text"),
        ("reportgen", str, "text"),
        ("command", str, "text"),
        ("overrides", dict, "table"),
        ("keys", dict, "table"),
    ):
        if not isinstance(content.get(key, kind() if key not in ("created", "reportgen") else None), kind):
            raise InputError(f"its {key!r} is no {called}", location, "Make the report again")
    return cast(Manifest, content)


def refuse_files(content: Mapping[str, object], location: str) -> None:
    """Raise InputError where a manifest's lists of files and versions are none, or name what is outside the report."""
    files, versions = content.get("files"), content.get("versions", {})
    if (
        not isinstance(files, dict)
        or not all(isinstance(e, dict) for e in files.values())
        or type(versions) is not dict
    ):
        raise InputError("its lists of files and versions are damaged", location, "Make the report again")
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in name or "\\" in name:
            raise InputError(f"it lists {name!r}, which is outside the report", location, "Make the report again")
        if len(name.encode(errors="replace")) > LONGEST_NAME:  # the file system would not answer
            raise InputError(f"it lists a file whose name has {len(name)} letters", location, "Make the report again")
