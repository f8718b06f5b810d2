"""Forgeries of a report: one value changed at a time, and hashes, crate and seal redone as a clever forger would.

    python benchmarks/reliability/forge.py 1200 [--seed N] [--minutes M]

A tiny study with validation is built twice, without its PDF and with it; and of the first there is a second report that
claims an older numpy and is consistent with that. Changed are values of everything that follows from others: leaves of
JSON, words and numbers of tables, text, SVG and page (tags, attributes, script, style and packed numbers among them),
pixels, and streams, metadata and attachments of the PDF; whole files are added and left out; versions, plug-ins and
templates are claimed. `verify` must call each *differs* or *not fully verified*. The roots, from which all follows, are
left alone. Reports with the same roots are made again once, not every time. Writes benchmarks/results/forge.json.
"""

import argparse
import base64
import io
import json
import random
import re
import shutil
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("scoring", "validation"))]

import numpy as np  # noqa: E402
import pikepdf  # noqa: E402
from PIL import Image  # noqa: E402

from reportgen.archive.verify import verify  # noqa: E402
from reportgen.core.provenance import made_with  # noqa: E402
from reportgen.errors import InputError  # noqa: E402
from reportgen.pipeline import build as pipeline  # noqa: E402
from reportgen.pipeline.options import Options  # noqa: E402
from reportgen.rendering.pdf.document import SEAL, sealed  # noqa: E402
from reportgen.rendering.pdf.typeset import UNSEALED  # noqa: E402
from reportgen.storage.crate import CRATE, crate_json  # noqa: E402
from reportgen.storage.files import sha256, sha256_file  # noqa: E402
from reportgen.storage.json_files import canonical_json, pretty_json  # noqa: E402
from reportgen.validation.recorded import folded_json  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "forge.json"
STUDY = """[study]
title = "Tiny"
authors = ["Ada Author"]
[model]
path = "model"
[tasks]
path = "tasks.jsonl"
[scoring]
method = "zero_ablation"
[validation]
budget = 60
[report]
formats = [{formats}]
"""
ROOTS = ("study.toml", "patterns.json", "scores.safetensors")
CLAIMS = ("created", "command", "overrides", "versions", "plugins")  # of the manifest
RAW = ("verdicts", "findings")  # of validation.json, what is no root
BLOB = re.compile(r'data:image/png;base64,[A-Za-z0-9+/=]+|"[A-Za-z0-9+/]{24,}={0,2}"')
TOKEN = re.compile(r"[A-Za-z]{2,}|\d+(?:\.\d+)?")
Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Forgery:
    """What is changed, of which sort it is, and how."""

    sort: str
    what: str
    edit: Edit


def built(place: Path, formats: str) -> Path:
    """A report on a tiny model, with validation."""
    from cases import copying_case

    place.mkdir(parents=True)
    copying_case(place, 3, True)
    (place / "study.toml").write_text(STUDY.format(formats=formats))
    return pipeline.build(place, place / "report", options=Options(command="reportgen build study.toml")).folder


def claiming(report: Path, place: Path, **versions: str) -> Path:
    """The same report as if these versions had made it."""
    shutil.copytree(report, place)
    edited(place / "manifest.json", lambda manifest: manifest["versions"].update(versions))
    again = place.with_name(f"{place.name}-again")
    with made_with(json.loads((place / "manifest.json").read_text())["versions"]):
        pipeline.remake(place, again)
    return again


def edited(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(pretty_json(content))


def mended(folder: Path) -> None:
    """Hashes in the manifest and the crate as a clever forger redoes them."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in [n for n in manifest["files"] if not (folder / n).is_file()]:
        del manifest["files"][name]
    for name in manifest["files"]:
        manifest["files"][name] = {"sha256": sha256_file(folder / name), "size": (folder / name).stat().st_size}
    (folder / "manifest.json").write_text(pretty_json(manifest))
    (folder / CRATE).write_text(crate_json(folder))


def leaves(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values of a JSON text."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(value, (*at, key))
    else:
        yield at


def other(value: Any) -> Any:
    """Another value of the same sort."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value * 1.01 + type(value)(1) if isinstance(value, int) else value * 1.01 or 0.1
    return respelt(value) if value else "x"


def respelt(text: str) -> str:
    """A word or number with one letter or leading digit changed."""
    at = next((i for i, c in enumerate(text) if c in "123456789"), len(text) - 1)
    new = str(int(text[at]) % 9 + 1) if text[at].isdigit() else "q" if text[at] != "q" else "k"
    return text[:at] + new + text[at + 1 :]


def json_forgeries(folder: Path, name: str) -> Iterator[Forgery]:
    content = json.loads((folder / name).read_text())
    for at in leaves(content):
        if (name == "manifest.json" and at[0] in CLAIMS) or (name == "validation.json" and at[0] not in RAW):
            continue

        def edit(copy: Path, at: tuple[Any, ...] = at) -> None:
            def change(content: Any) -> None:
                for key in at[:-1]:
                    content = content[key]
                content[at[-1]] = other(content[at[-1]])

            old = (copy / name).read_text()
            new = json.loads(old)
            change(new)
            (copy / name).write_text(folded_json(new) if name == "validation.json" else pretty_json(new))
            if name not in (CRATE, "manifest.json"):
                mended(copy)
            elif name == "manifest.json":
                (copy / CRATE).write_text(crate_json(copy))

        yield Forgery(f"JSON: {name}", f"{name} {at}", edit)


def text_forgeries(folder: Path, name: str) -> Iterator[Forgery]:
    text = (folder / name).read_bytes().decode()
    blobs = [(m.start(), m.end()) for m in BLOB.finditer(text)]

    def put(old: re.Match[str], new: str) -> Edit:
        def edit(copy: Path) -> None:
            (copy / name).write_bytes((text[: old.start()] + new + text[old.end() :]).encode())
            mended(copy)

        return edit

    kind = Path(name).suffix[1:]
    for token in TOKEN.finditer(text):
        if not any(start <= token.start() < end for start, end in blobs):
            around = text[max(0, token.start() - 20) : token.end() + 10]
            yield Forgery(f"words and numbers: {kind}", f"{name} {around!r}", put(token, respelt(token[0])))
    for blob in BLOB.finditer(text):
        new = repainted(blob[0]) if blob[0].startswith("data:") else repacked(blob[0])
        if new is not None:
            yield Forgery(f"pictures and packed numbers: {kind}", f"{name} {blob[0][:40]}", put(blob, new))
    if kind == "html":
        for what, old, new in (
            ("comment", "</main>", "<!-- all of it is certain --></main>"),
            ("script", "</body>", "<script>document.title = 'x'</script></body>"),
            ("style", "</head>", "<style>.caveat { display: none }</style></head>"),
            ("meta", "</head>", '<meta name="robots" content="noindex"/></head>'),
            ("hidden", "<main ", "<main hidden "),
        ):
            at = re.search(re.escape(old), text)
            assert at is not None
            yield Forgery("added to the page", what, put(at, new))


def repainted(blob: str) -> str:
    """A picture with one pixel of another colour."""
    head, _, data = blob.partition(",")
    pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    pixels[0, 0] = pixels[0, 0] ^ 64
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return f"{head},{base64.b64encode(out.getvalue()).decode()}"


def repacked(blob: str) -> str | None:
    """Packed numbers with one byte of the highest plane changed; None for what is not packed."""
    data = bytearray(base64.b64decode(blob.strip('"') + "=="))
    try:
        plain = bytearray(zlib.decompress(bytes(data)))
    except zlib.error:
        data[0] ^= 64
        return f'"{base64.b64encode(bytes(data)).decode()}"'
    plain[-1] ^= 1
    return f'"{base64.b64encode(zlib.compress(bytes(plain), 6)).decode()}"'


def file_forgeries(folder: Path) -> Iterator[Forgery]:
    """Whole files added and left out, and claims of what made the report."""
    for name in json.loads((folder / "manifest.json").read_text())["files"]:
        if name not in ROOTS:

            def drop(copy: Path, name: str = name) -> None:
                (copy / name).unlink()
                mended(copy)

            yield Forgery("files left out", name, drop)

    def add(name: str, recorded: bool) -> Edit:
        def edit(copy: Path) -> None:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text("All heads matter.")
            if recorded:
                edited(copy / "manifest.json", lambda m: m["files"].update({name: {}}))
                mended(copy)

        return edit

    for name in ("summary.html", "report.pdf", "tables/more.csv", "templates/observations/anomaly.j2", "README.md"):
        yield Forgery("files added", name, add(name, False))
        yield Forgery("files added", f"{name}, recorded", add(name, True))

    def claim(change: Callable[[Any], object]) -> Edit:
        def edit(copy: Path) -> None:
            edited(copy / "manifest.json", change)
            row = copy / "tables" / "heads.csv"
            row.write_text(row.read_text().replace("0.", "1.", 1))
            mended(copy)

        return edit

    plugin = {"name": "odd", "package": "odd", "version": "1.0", "error": ""}
    for version in ("0.0.1", "0.1.0", "9.0"):
        yield Forgery("claims", f"reportgen {version}", claim(lambda m, v=version: m.update(reportgen=v)))
    for group in ("reportgen.detectors", "reportgen.sections", "reportgen.methods"):
        yield Forgery("claims", group, claim(lambda m, g=group: m.update(plugins=[{"group": g, **plugin}])))
    for package in ("numpy", "weasyprint", "python", "rocrate", "jinja2"):
        yield Forgery("claims", package, claim(lambda m, p=package: m["versions"].update({p: "0.0.1"})))
    yield Forgery("claims", "overrides", claim(lambda m: m["overrides"].update({"report.theme": "paper"})))


def pdf_forgeries(folder: Path, rng: random.Random) -> Iterator[Forgery]:
    """Changes of objects of the PDF, which is sealed again."""

    def change(act: Callable[[pikepdf.Pdf], object]) -> Edit:
        def edit(copy: Path) -> None:
            path = copy / "report.pdf"
            with pikepdf.open(path, allow_overwriting_input=True) as document:
                act(document)
                document.save(path, static_id=True)
            data = path.read_bytes()
            data = re.sub(rb"/ID ?\[[^\]]*\]", b"/ID [(" + UNSEALED + b")(" + UNSEALED + b")]", data, count=1)
            path.write_bytes(sealed(data))
            assert SEAL.search(path.read_bytes())
            (copy / CRATE).write_text(crate_json(copy))

        return edit

    with pikepdf.open(folder / "report.pdf") as document:
        pages, names = len(document.pages), list(document.attachments)

    def operand(page: int, seed: int) -> Callable[[pikepdf.Pdf], None]:
        def act(document: pikepdf.Pdf) -> None:
            content = document.pages[page].Contents
            data = content.read_bytes()
            at = random.Random(seed).choice(list(re.finditer(rb"\d", data))).start()
            content.write(data[:at] + b"%d" % ((int(data[at : at + 1]) + 1) % 10) + data[at + 1 :])

        return act

    for i in range(200):
        page, seed = rng.randrange(pages), rng.randrange(2**32)
        yield Forgery("PDF: what is drawn", f"page {page}, {i}", change(operand(page, seed)))
    for key in ("/Title", "/Author", "/CreationDate", "/ModDate", "/Producer"):
        act = change(lambda d, k=key: d.docinfo.__setitem__(k, "D:20200101000000Z" if "Date" in k else "Another"))
        yield Forgery("PDF: metadata", key, act)
    for name in names:

        def attach(document: pikepdf.Pdf, name: str = name) -> None:
            data = document.attachments[name].get_file().read_bytes()
            del document.attachments[name]
            document.attachments[name] = data.replace(b"1", b"2", 1)

        yield Forgery("PDF: attachments", name, change(attach))
    yield Forgery("PDF: attachments", "another", change(lambda d: d.attachments.__setitem__("note.txt", b"x")))
    yield Forgery("PDF: pages", "left out", change(lambda d: d.pages.__delitem__(0)))
    yield Forgery("PDF: pages", "twice", change(lambda d: d.pages.append(d.pages[0])))


def forgeries(folder: Path) -> Iterator[Forgery]:
    """Every forgery of a report without PDF."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in ROOTS:
            continue
        leafwise = path.suffix == ".json" and name != "heads.json"  # which holds a task a line
        yield from json_forgeries(folder, name) if leafwise else text_forgeries(folder, name)
    yield from file_forgeries(folder)


class Kept:
    """Reports that were made again, by what they follow from."""

    def __init__(self, place: Path) -> None:
        self.place, self.make = place, pipeline.remake

    def __call__(self, archive: Path, folder: Path, **rest: Any) -> Any:
        manifest = json.loads((archive / "manifest.json").read_text())
        roots = {
            p.relative_to(archive).as_posix(): sha256_file(p)
            for p in sorted(archive.rglob("*"))
            if p.is_file() and (p.name in (*ROOTS, "validation.json") or "templates" in p.parts)
        }
        told = {k: v for k, v in manifest.items() if k not in ("files", "keys", "seeds")}
        carried = [sha256_file(p) for p in sorted(archive.glob("*.json"))] if rest.pop("pdf", False) else []
        key = sha256(canonical_json([roots, told, carried, sorted(manifest["files"])]).encode())
        if not (self.place / key).is_dir():
            self.make(archive, self.place / key, **rest)
        shutil.copytree(self.place / key, folder, dirs_exist_ok=True)


def outcome(forgery: Forgery, report: Path, place: Path) -> str:
    """The word for a forged copy of a report."""
    copy = place / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(report, copy)
    forgery.edit(copy)
    try:
        return verify(copy).result
    except InputError as error:
        return f"refused: {error.problem}"[:60]


def campaign(most: int, seed: int, minutes: float = 600) -> dict[str, Any]:
    """Try at most so many forgeries for at most so many minutes, of every sort the same share."""
    ends = time.monotonic() + 60 * minutes
    rng, words, verified = random.Random(seed), dict[str, Counter[str]](), list[str]()
    with tempfile.TemporaryDirectory() as held:
        place = Path(held)
        page, whole = built(place / "page", '"html"'), built(place / "whole", '"html", "pdf"')
        older = claiming(page, place / "older", numpy="1.0.0")
        tried = [("true versions", page, f) for f in forgeries(page)]
        tried += [("an older numpy", older, f) for f in forgeries(older)]
        tried += [("with its PDF", whole, f) for f in pdf_forgeries(whole, rng)]
        kept = Kept(place / "kept")
        with patch.object(pipeline, "remake", kept):
            for report in (page, whole, older):
                assert verify(report).result == "verified", report
            for claim, report, forgery in shared(tried, most, rng):
                if time.monotonic() > ends:
                    break
                word = outcome(forgery, report, place)
                words.setdefault(f"{forgery.sort} ({claim})", Counter())[word.partition(":")[0]] += 1
                if word.startswith("verified"):
                    verified.append(f"{claim}: {forgery.what}")
                    print("VERIFIED", verified[-1], flush=True)
    total = sum(words.values(), Counter[str]())
    return {
        "seed": seed,
        "forgeries": sum(total.values()),
        "total": dict(total),
        "called verified": verified,
        "sorts": {k: dict(v) for k, v in sorted(words.items())},
    }


def shared(tried: list[Any], most: int, rng: random.Random) -> list[Any]:
    """At most so many of all, those of rare sorts whole."""
    by = dict[tuple[str, str], list[Any]]()
    for each in tried:
        by.setdefault((each[0], each[2].sort), []).append(each)
    for group in by.values():
        rng.shuffle(group)
    chosen: list[Any] = []
    while len(chosen) < most and any(by.values()):
        chosen += [group.pop() for group in by.values() if group][: most - len(chosen)]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("most", type=int, nargs="?", default=1200)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    made = campaign(chosen.most, chosen.seed, chosen.minutes)
    print(json.dumps(made, indent=1, ensure_ascii=False))
    chosen.out.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
