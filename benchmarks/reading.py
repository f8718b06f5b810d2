"""How a report reads: ``python benchmarks/reading.py SAMPLE FIGURE TASKS24 ONE``, the folders of four built reports.

In Chromium, of every page: what a desktop's first screen (1440 × 900) and a phone's first two (390 × 844) hold in
full – claims with the first sentence of their evidence, maps, words – the page's weight, its words, what axe-core finds
wrong, and how long pointing at a cell takes once the page has loaded. Of the PDF: its pages, and the words of its first
two. Of the claims: words and numbers, those within names of heads and tasks not counted.
Writes benchmarks/results/reading.json and docs/reading.md.
"""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader
from report import HOVER, IDLE

ROOT = Path(__file__).resolve().parents[1]
RESULTS, NOTE = ROOT / "benchmarks" / "results" / "reading.json", ROOT / "docs" / "reading.md"
STUDIES = ("sample", "figure", "24 tasks", "one task")
SCREENS = {"desktop": (1440, 900, 1), "phone": (390, 844, 2)}  # width, height, how many screens count as first
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SMALLEST, LONGEST = 40, 4  # pixels of a map's side at least; sides' ratio beyond which a picture is a bar of colours
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# The lower edge, in pixels from the top of the page, of the smallest element that shows each text; null for none.
BOTTOMS = """(texts) => { const plain = (e) => e.textContent.replace(/\\s+/g, ' ');
  const lowest = (e, text) => { if (!e.checkVisibility() || !plain(e).includes(text)) return [];
    const inner = [...e.children].flatMap((child) => lowest(child, text));
    return inner.length ? inner : [e.getBoundingClientRect().bottom + scrollY] };
  return texts.map((text) => { const found = lowest(document.body, text);
    return found.length ? Math.min(...found) : null }) }"""
PICTURES = """() => [...document.querySelectorAll('svg image, img, canvas')].filter((e) => e.checkVisibility())
  .map((e) => { const b = e.getBoundingClientRect(); return [b.width, b.height, b.bottom + scrollY, b.left, b.top] })"""
WORDS = """(fold) => { let n = 0; const range = document.createRange();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const e = walk.currentNode.parentElement;
    if (!e.checkVisibility() || e.closest('script, style, svg')) continue;
    range.selectNodeContents(walk.currentNode); const b = range.getBoundingClientRect();
    if (b.height && b.top + scrollY < fold) n += walk.currentNode.data.split(/\\s+/).filter(Boolean).length }
  return n }"""


def measured(browser: Browser, folder: Path) -> dict[str, Any]:
    """Return all that is measured of one report."""
    claims = json.loads((folder / "claims.json").read_text())["claims"]
    tasks = json.loads((folder / "heads.json").read_text())["tasks"]
    told = [f"{claim['headline']} {claim['body']}" for claim in claims]
    pdf = folder / "report.pdf"
    result: dict[str, Any] = {
        "claims": len(claims),
        "claim_words": sum(len(text.split()) for text in told),
        "claim_numbers": sum(numbers(text, tasks) for text in told),
        "page_kb": round((folder / "report.html").stat().st_size / 1000),
        "pdf_pages": len(PdfReader(pdf).pages),
        "pdf_words": [len(text_of(pdf, number).split()) for number in (1, 2)],
    }
    for name, (width, height, screens) in SCREENS.items():
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.goto((folder / "report.html").resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        result[name] = first_screens(page, claims, height * screens)
        if name == "desktop":
            result |= {"page_words": page.evaluate(WORDS, 1e9), **hover(page)}
        result[name]["axe"] = [v["id"] for v in Axe().run(page, options=RULES).response["violations"]]
        page.close()
    return result


def first_screens(page: Page, claims: list[dict[str, Any]], fold: int) -> dict[str, Any]:
    """Return what lies above the fold: claims whose headline and first sentence of evidence do, maps, words."""
    headlines = page.evaluate(BOTTOMS, [claim["headline"] for claim in claims])
    firsts = page.evaluate(BOTTOMS, [SENTENCE.split(claim["body"])[0] for claim in claims])
    whole = [h is not None and b is not None and max(h, b) <= fold for h, b in zip(headlines, firsts, strict=True)]
    return {
        "claims": sum(whole),
        "maps": len({tuple(map(round, place)) for *place, bottom in maps(page) if bottom <= fold}),
        "words": page.evaluate(WORDS, fold),
    }


def maps(page: Page) -> list[tuple[float, float, float]]:
    """Return where maps lie: left, top and bottom."""
    found = []
    for width, height, bottom, left, top in page.evaluate(PICTURES):
        if min(width, height) >= SMALLEST and max(width, height) <= LONGEST * min(width, height):
            found.append((left, top, bottom))
    return found


def hover(page: Page) -> dict[str, float]:
    """Return how many milliseconds pointing at a cell takes, median and worst, after the page has come to rest."""
    page.wait_for_timeout(1000 * IDLE)
    took = page.evaluate(HOVER)
    page.evaluate("scrollTo(0, 0)")
    return {"hover_ms": round(statistics.median(took), 2), "hover_worst_ms": round(took[-1], 2)}


def numbers(text: str, tasks: dict[str, object]) -> int:
    """Return how many numbers a text has, those in names of heads and tasks left out."""
    for name in sorted(tasks, key=len, reverse=True):
        text = text.replace(name, "")
    return len(NUMBER.findall(re.sub(r"\bL\d+H\d+\b", "", text)))


def text_of(pdf: Path, number: int) -> str:
    """Return the text of one page of a PDF."""
    command = ["pdftotext", "-f", str(number), "-l", str(number), str(pdf), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


ROWS = {
    "claims on the first screen, of all": lambda r: f"{r['desktop']['claims']} of {r['claims']}",
    "maps on the first screen": lambda r: r["desktop"]["maps"],
    "words on the first screen": lambda r: r["desktop"]["words"],
    "claims on a phone's first two screens": lambda r: r["phone"]["claims"],
    "maps on a phone's first two screens": lambda r: r["phone"]["maps"],
    "words and numbers of all claims": lambda r: f"{r['claim_words']}, {r['claim_numbers']}",
    "words of the page": lambda r: f"{r['page_words']:,}",
    "weight of the page, kB": lambda r: f"{r['page_kb']:,}",
    "pages of the PDF": lambda r: r["pdf_pages"],
    "words of its first and second page": lambda r: ", ".join(map(str, r["pdf_words"])),
    "pointing at a cell, median and worst, ms": lambda r: f"{r['hover_ms']}, {r['hover_worst_ms']}",
    "rules that axe-core finds broken": lambda r: len({*r["desktop"]["axe"], *r["phone"]["axe"]}),
}


def note(results: dict[str, dict[str, Any]]) -> str:
    """Return docs/reading.md."""
    rows = [f"| {name} | {' | '.join(str(row(r)) for r in results.values())} |" for name, row in ROWS.items()]
    return f"""# How a report reads

Written by `python benchmarks/reading.py` from four reports, in Chromium and with poppler. The first screen is a
desktop's, 1440 × 900; a phone's is 390 × 844. A claim counts where its headline and the first sentence of its evidence
lie above the fold.
The studies: `sample_data`, `sample_data/figure`, 24 tasks of 24 × 24 heads with long names, and one task.

| | {" | ".join(results)} |
|---|{"---|" * len(results)}
{chr(10).join(rows)}
"""


def main(folders: list[Path]) -> None:
    """Measure the reports, and write the numbers and the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        results = {name: measured(browser, folder) for name, folder in zip(STUDIES, folders, strict=True)}
        browser.close()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    NOTE.write_text(note(results))
    print(NOTE.read_text())


if __name__ == "__main__":
    if len(sys.argv) != 1 + len(STUDIES):
        raise SystemExit(f"usage: python benchmarks/reading.py {' '.join(s.replace(' ', '-') for s in STUDIES)}")
    main([Path(each) for each in sys.argv[1:]])
