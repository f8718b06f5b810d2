"""An output folder: whose it is, what lies in it, and what is cleared before it is written anew."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from reportgen.core.config import Study
from reportgen.core.study_scores import Scores
from reportgen.errors import InputError
from reportgen.storage.crate import CRATE
from reportgen.storage.files import HALF, refuse_dangling, remove, sha256_file, write_atomic
from reportgen.storage.json_files import read_json
from reportgen.storage.locks import alone_in
from reportgen.storage.manifest import Manifest, refuse_files
from reportgen.storage.remote_folders import StorageFolder
from reportgen.storage.scores_file import SCORES, read_methods, scores_csv, stored_key, write_methods

PDF = "report.pdf"
SIGNATURES = ("manifest.json.sig", "report.pdf.sig")  # of whom a report is, in OpenSSH's form
CHECKPOINTS = ".checkpoints"  # finished shards of an unfinished scoring, under the run directory
TEMPLATES = "templates"  # overriding templates, in the report that they made
ELSEWHERE = "Choose another folder with -o, or overwrite it with --force"


def claim(folder: Path, key: str, force: bool) -> None:
    """Refuse a folder that holds another study's report or anything else; with ``force``, clear what a report left."""
    try:
        refuse_dangling(folder)
        parent = next(p for p in (folder, *folder.parents) if p.exists())
    except OSError as error:
        raise InputError(f"this is no folder name ({error.strerror})", str(folder), "Choose another with -o") from error
    if not parent.is_dir():
        raise InputError("this is a file, not a folder", str(parent), "Choose another folder with -o")
    if parent != folder or not any(folder.iterdir()):
        return
    manifest = manifest_in(folder)
    held = manifest.get("keys", {}).get("scores") or _stored_key(folder)
    if held == key or (held is None and (folder / CHECKPOINTS).is_dir()):
        return
    if not force:
        what = "files that reportgen did not write" if held is None else "the report of another study or other settings"
        raise InputError(f"this folder holds {what}", str(folder), ELSEWHERE)
    StorageFolder(folder / CHECKPOINTS).refuse_busy()
    clear(folder, manifest)
    for path in (folder / "manifest.json", *folder.glob("scores*.safetensors")):
        remove(path)  # what is not finished is then known by its shards alone


def _stored_key(folder: Path) -> str | None:
    try:
        return stored_key(folder / SCORES)
    except InputError:
        return None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of an output folder while it is written, and clear what a run that was killed left half.

    Raises InputError where another run is at work.
    """
    with alone_in(folder):
        for path in folder.rglob(f".*{HALF}"):
            remove(path)
        yield


def manifest_in(folder: Path) -> Manifest:
    """Read the folder's manifest, {} where it has none that can be read."""
    path = folder / "manifest.json"
    try:
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("keys", {}), dict):
            return {}
        refuse_files({"files": {}, **content}, str(path))
    except InputError:
        return {}
    return cast(Manifest, content)


def recorded_overrides(folder: Path) -> dict[str, object]:
    """Return the values that were set over a folder's study; raises InputError where that record is damaged."""
    values = manifest_in(folder).get("overrides", {})
    if not isinstance(values, dict):
        problem, hint = "its 'overrides' is no table", "Make the report again from its study"
        raise InputError(problem, str(folder / "manifest.json"), hint)
    return values


def found_hash(folder: Path) -> str:
    """Return the hash of what was found, tried, seen and claimed, all of which a report shows."""
    names = ("findings.json", "validation.json", "patterns.json", "claims.json")
    return "".join(sha256_file(p) for n in names if (p := folder / n).is_file())


def clear(folder: Path, manifest: Manifest) -> None:
    """Remove what an earlier rendering wrote, so that nothing stale stays beside the new report."""
    keep = {"findings.json", "validation.json", "patterns.json", "claims.json"}
    # The PDF is in no manifest, since it carries it: left here, a run cut short would seem done with the old one.
    for name in (*manifest.get("files", {}), "manifest.json", CRATE, PDF, *SIGNATURES):
        path = folder / name
        stays = name in keep or (name.startswith("scores") and "/" not in name)
        if path.resolve().is_relative_to(folder.resolve()) and not stays:
            remove(path)


def refuse_elsewhere(folder: Path, assets: str | None) -> None:
    """Refuse a folder for the page's assets that is a file, or that a link takes out of the report's folder."""
    path = folder / (assets or "")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError("a link leads out of the report's folder", str(path), "Choose another folder with --assets")
    if path.exists() and not path.is_dir():
        raise InputError("this is a file, not a folder", str(path), "Choose another folder with --assets")


def intact(folder: Path, manifest: Manifest, study: Study) -> bool:
    """Return whether every file of the manifest is there unchanged, and the PDF where one is wanted."""
    files = manifest.get("files", {})
    if "pdf" in study.report.formats and not (folder / PDF).is_file():
        return False
    return all((folder / n).is_file() and sha256_file(folder / n) == entry.get("sha256") for n, entry in files.items())


def copy_scores(source: Path, folder: Path, force: bool) -> None:
    """Put the scores of one folder, by all of its methods, into another, which is claimed for them."""
    stored, key = read_methods(source)
    claim(folder, key, force)
    write_methods(folder, stored, key)


def foreign_templates(folder: Path) -> tuple[str, ...]:
    """Return the names of the templates that a report carries: whoever made the report wrote them."""
    held = folder / TEMPLATES
    found = [held] if held.is_symlink() else held.rglob("*")
    return tuple(sorted(p.relative_to(folder).as_posix() for p in found if p.is_symlink() or p.is_file()))


def set_aside(folder: Path) -> None:
    """Move the templates that a folder holds to a hidden one: what they did not make does not hold them as its own."""
    held, aside = folder / TEMPLATES, folder / f".{TEMPLATES}"
    if held.is_symlink() or held.is_dir():
        if aside.is_symlink() or not aside.is_dir():
            remove(aside)
        else:
            shutil.rmtree(aside)
        held.rename(aside)


def scores_hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every scores file in the folder, the first method's first, however the disk lists them."""
    files = sorted(folder.glob("scores*.safetensors"), key=lambda p: (p.name != SCORES, p.name))
    return {p.name: sha256_file(p) for p in files}


def forms_of(manifest: Manifest) -> list[str]:
    """Return the forms in which a report's figures were written: svg, pdf, png."""
    drawn = {
        Path(name).suffix for name in manifest.get("files", {}) if name.startswith("figures/") and name.count("/") == 1
    }
    return [form for form in ("svg", "pdf", "png") if f".{form}" in drawn] or ["svg"]


@contextmanager
def taken_from(report: Path) -> Iterator[None]:
    """Raise InputError, within the context, for files of a report that do not fit together, as for a broken file.

    What one file says of another is not checked field by field: it shows itself where it is used.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        problem = f"one of its files is damaged ({type(error).__name__}: {str(error)[:200]})"
        hint = "Make the report again, or, where `reportgen verify` finds it whole, report this as a fault of reportgen"
        raise InputError(problem, str(report), hint) from error


def save_scores(scores: Scores, folder: Path) -> None:
    """Write the readable companions of the scores files: study.toml and scores.csv."""
    if scores.study.source:
        write_atomic(folder / "study.toml", scores.study.source)
    write_atomic(folder / "scores.csv", scores_csv(scores.blocks))
