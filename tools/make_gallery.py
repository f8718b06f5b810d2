"""Publish reports in the documentation: ``python tools/make_gallery.py SAMPLE FIGURE``.

SAMPLE and FIGURE are the folders that ``reportgen build sample_data`` and ``reportgen build sample_data/figure`` made.
Their pages and PDFs go to docs/gallery, whole, so that ``reportgen verify docs/gallery/sample.pdf`` checks what is
published; a picture of the sample's first screen goes to docs/page.png; the sample's claims into README.md; and
docs/gallery/record.json says what all of it was made from, so that a test tells when it is stale.
"""

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from reportgen import __version__

ROOT = Path(__file__).resolve().parents[1]
DOCS, README = ROOT / "docs", ROOT / "README.md"
GALLERY = DOCS / "gallery"
RECORD, INDEX = GALLERY / "record.json", GALLERY / "index.md"
PICTURE = DOCS / "page.png"
ABOUT = {
    "sample": "a small Llama on eight word-level tasks: scored, knocked out, summarised",
    "figure": "scores alone, a synthetic tensor laid out after a published description of eight heatmaps",
}
MOST = 5_000_000  # bytes: the gallery is part of every clone
MARKS = "<!-- claims: made by tools/make_gallery.py -->\n", "<!-- /claims -->"
# what the first screen is drawn by; comparison, index and a new study's files are not
DRAWN_BY = ("templates", "reportgen/rendering", "reportgen/summary")
OTHER = ("templates/archive", "templates/init")


def made_from() -> str:
    """Return a hash of what draws and words a report."""
    files = sorted(
        p for folder in DRAWN_BY for p in (ROOT / folder).rglob("*") if p.suffix in (".j2", ".css", ".js", ".py")
    )
    names = [(str(p.relative_to(ROOT)), p) for p in files]
    parts = [f"{name} {digest(p)}" for name, p in names if not name.startswith(OTHER)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest(path: Path) -> str:
    """Return a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pages(pdf: Path) -> int:
    """Return a PDF's number of pages."""
    return len(PdfReader(pdf).pages)


def claims_of(folder: Path) -> list[dict[str, object]]:
    """Return a report's claims, the strongest first."""
    return [dict(claim) for claim in json.loads((folder / "claims.json").read_text())["claims"]]


def claim_lines(claims: Iterable[dict[str, object]]) -> str:
    """Return claims as README.md prints them, in their order."""
    return "".join(f"{i}. **{claim['headline']}**\n" for i, claim in enumerate(claims, 1))


def with_claims(readme: str, lines: str) -> str:
    """Return README.md's text with those claims between its marks."""
    return re.sub(f"(?<={re.escape(MARKS[0])}).*?(?={re.escape(MARKS[1])})", lambda _: lines, readme, flags=re.DOTALL)


def index_page(record: dict[str, dict[str, object]], created: str, sample: str) -> str:
    """Return the page that lists the published reports; what it says of the sample study stands in it already."""
    rows = [
        f"| {ABOUT[name]} | [{name}.html]({name}.html), {of['bytes'] / 1000:,.0f} kB | "  # type: ignore[operator]
        f"[{name}.pdf]({name}.pdf), {of['pages']} pages | {of['claims'][0]} |"  # type: ignore[index]
        for name, of in record.items()
    ]
    return f"""# Published reports

Made by `python tools/make_gallery.py` on {created}; each PDF carries its data, and
`reportgen verify docs/gallery/sample.pdf` makes it again and compares.

| of | page | PDF | first claim |
|---|---|---|---|
{chr(10).join(rows)}

{sample}"""


def shrunk(picture: bytes) -> bytes:
    """Return a PNG in 128 colours, a third of the size."""
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(out, "png", optimize=True)
    return out.getvalue()


def first_screen(report: Path) -> bytes:
    """Photograph what a desktop shows of a page first."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        tab.goto(report.resolve().as_uri())
        tab.wait_for_selector("html[data-ready]")
        picture = tab.screenshot()
        browser.close()
    return bytes(picture)


def main(folders: dict[str, Path]) -> None:
    """Write the gallery, the picture, and README.md's claims."""
    files = {
        f"{name}.{form}": (folder / f"report.{form}").read_bytes()
        for name, folder in folders.items()
        for form in ("html", "pdf")
    }
    if sum(map(len, files.values())) > MOST:
        raise SystemExit(f"the gallery would take more than {MOST:,} bytes of every clone")
    PICTURE.write_bytes(shrunk(first_screen(folders["sample"] / "report.html")))
    GALLERY.mkdir(exist_ok=True)
    for name, data in files.items():
        (GALLERY / name).write_bytes(data)
    record: dict[str, dict[str, object]] = {
        name: {
            "claims": [claim["headline"] for claim in claims_of(folder)],
            "bytes": len(files[f"{name}.html"]),
            "pages": pages(folder / "report.pdf"),
            "files": {f"{name}.{form}": digest(GALLERY / f"{name}.{form}") for form in ("html", "pdf")},
        }
        for name, folder in folders.items()
    }
    created = json.loads((folders["sample"] / "manifest.json").read_text())["created"][:10]
    content = {
        "made_from": made_from(),
        "reportgen": __version__,
        "created": created,
        "picture": digest(PICTURE),
        "reports": record,
    }
    RECORD.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    told = INDEX.read_text()
    INDEX.write_text(index_page(record, created, told[told.index("## The sample study") :]))
    README.write_text(with_claims(README.read_text(), claim_lines(claims_of(folders["sample"]))))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python tools/make_gallery.py SAMPLE FIGURE")
    main(dict(zip(ABOUT, map(Path, sys.argv[1:]), strict=True)))
