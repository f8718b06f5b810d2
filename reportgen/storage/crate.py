"""ro-crate-metadata.json: the report described for repositories and search engines (RO-Crate, schema.org terms)."""

import sys
import tomllib
from importlib.util import LazyLoader, find_spec, module_from_spec
from pathlib import Path
from typing import Any

from reportgen.storage.files import sha256_file
from reportgen.storage.json_files import pretty_json, read_json

CRATE = "ro-crate-metadata.json"
FORMATS = {
    ".html": "text/html",
    ".pdf": "application/pdf",
    ".csv": "text/csv",
    ".json": "application/json",
    ".toml": "application/toml",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".tex": "application/x-tex",
    ".bib": "application/x-bibtex",
    ".txt": "text/plain",
    ".j2": "text/x-jinja2",
    ".css": "text/css",
    ".js": "text/javascript",
    ".jsonld": "application/ld+json",
    ".safetensors": "application/octet-stream",
}
TERMS = (
    "@type",
    "name",
    "description",
    "datePublished",
    "keywords",
    "author",
    "hasPart",
    "sha256",
    "contentSize",
    "encodingFormat",
    "version",
    "softwareVersion",
    "endTime",
    "result",
)


def crate_json(folder: Path) -> str:
    """Return the crate of a finished report: every file with its hash but the crate itself; the same bytes for the same
    files.

    Follows RO-Crate (Soiland-Reyes et al. 2022, Data Science 5:97). Raises InputError where the manifest is missing.
    """
    _put_off("requests")
    from rocrate.model.person import Person
    from rocrate.model.softwareapplication import SoftwareApplication
    from rocrate.rocrate import ROCrate

    manifest, about = read_json(folder / "manifest.json"), _about(folder)
    crate = ROCrate()
    crate.name = about.get("title") or "Attention-head importance"
    crate.description = about.get("notes") or "Importance of every attention head of a transformer on every task."
    crate.datePublished = manifest["created"]
    crate.keywords = "interpretability, attention heads, transformers"
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"
    authors = [
        crate.add(Person(crate, f"#author-{i}", {"name": name})) for i, name in enumerate(about.get("authors") or [], 1)
    ]
    if authors:
        crate.root_dataset["author"] = authors
    tool = {"name": "reportgen", "version": manifest["reportgen"], "softwareVersion": manifest["reportgen"]}
    crate.add_action(
        crate.add(SoftwareApplication(crate, "#reportgen", tool)),
        "#making",
        result=crate.root_dataset,
        properties={"name": "Making of the report", "endTime": manifest["created"]},
    )
    for name in sorted((*manifest["files"], *(n for n in ("manifest.json", "report.pdf") if (folder / n).is_file()))):
        path = folder / name
        described = {"name": name, "sha256": sha256_file(path), "contentSize": str(path.stat().st_size)}
        crate.add_file(dest_path=name, properties={**described, "encodingFormat": FORMATS.get(path.suffix, "")})
    return pretty_json(crate.metadata.generate())


def described(crate: dict[str, Any]) -> dict[str, object]:
    """Return what a crate says of each thing in it, as far as ``crate_json`` put it there and not the library."""
    return {entry["@id"]: {key: entry[key] for key in TERMS if key in entry} for entry in crate["@graph"]}


def _put_off(name: str) -> None:
    """Load a module at its first use: rocrate imports requests for files on the net, of which a report has none."""
    spec = None if name in sys.modules else find_spec(name)
    if spec is not None and spec.loader is not None:
        spec.loader = LazyLoader(spec.loader)
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


def _about(folder: Path) -> dict[str, Any]:
    """Return the [study] section, as far as there is one."""
    try:
        section = tomllib.loads((folder / "study.toml").read_text(encoding="utf-8")).get("study", {})
    except (OSError, ValueError):
        return {}
    return section if isinstance(section, dict) else {}
