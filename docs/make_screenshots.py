"""Pictures of a report for the README: ``python docs/make_screenshots.py REPORT_FOLDER``.

Writes page.png (the top of the page, in Chromium) and pdf-page.png (a page of the PDF, by pdftoppm) beside this file.
"""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
CHROMIUM = "/usr/bin/chromium"
PDF_PAGE = 3  # of the sample study: the overview


def page(report: Path, target: Path, width: int = 1280, height: int = 1000) -> None:
    """Photograph the top of the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        tab.goto(report.resolve().as_uri())
        tab.screenshot(path=target)
        browser.close()


def pdf_page(report: Path, target: Path, number: int = PDF_PAGE) -> None:
    """Draw one page of the PDF at 100 dots an inch."""
    command = ["pdftoppm", "-png", "-r", "100", "-singlefile", "-f", str(number), "-l", str(number)]
    subprocess.run([*command, str(report), str(target.with_suffix(""))], check=True)


def main(folder: Path) -> None:
    """Write both pictures."""
    page(folder / "report.html", HERE / "page.png")
    pdf_page(folder / "report.pdf", HERE / "pdf-page.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python docs/make_screenshots.py REPORT_FOLDER")
    main(Path(sys.argv[1]))
