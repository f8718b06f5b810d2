"""Every script is set in figures and PDF: with a font of the machine, or a box and the package that has one."""

import io
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from reportgen.rendering.pdf.document import boxed, pdf
from reportgen.rendering.plots import matplotlib_adapter, system_fonts
from reportgen.rendering.plots.canvas import Canvas
from reportgen.rendering.plots.matplotlib_adapter import runs, text_width, typeface, unprintable

NAMES = ["知识回忆", "ज्ञान की", "שליפת ידע: 1 (a)", "استرجاع المعرفة", "abc ידע"]
CACHED = (matplotlib_adapter._path, matplotlib_adapter._runs, system_fonts.font_with)


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any font but the shipped ones."""
    monkeypatch.setattr(system_fonts, "_files", tuple)
    for cached in CACHED:
        cached.cache_clear()
    yield
    for cached in CACHED:
        cached.cache_clear()


def canvas_of(names: list[str]) -> Canvas:
    canvas = Canvas(3, 0.2 * len(names))
    for i, name in enumerate(names):
        canvas.text(0.1, 0.2 * i + 0.15, name, 8)
    return canvas


def test_letters_that_the_shipped_fonts_lack_are_set_in_the_machines() -> None:
    assert unprintable("".join(NAMES)) == ""
    files = {name: [face.get_file() for _, face, _ in runs(f"{name} x", 8)] for name in NAMES[:2]}
    assert all(len(each) == 2 and "DejaVu" in str(each[1]) and "DejaVu" not in str(each[0]) for each in files.values())
    assert text_width("知识回忆", 8) == pytest.approx(4 * 8 / 72, rel=0.05)
    assert b"/Type3" not in canvas_of(NAMES).bitmap("pdf")


def test_a_line_that_begins_from_right_to_left_ends_where_it_was_put() -> None:
    texts = list(ET.fromstring(canvas_of(NAMES).svg("t", "t")).iter("{http://www.w3.org/2000/svg}text"))
    ways = [(t.get("direction"), t.get("text-anchor")) for t in texts]
    assert ways == [(None, None), (None, None), ("rtl", "end"), ("rtl", "end"), (None, None)]
    assert len({t.get("x") for t in texts}) == 1


@pytest.mark.pdf
def test_every_script_stands_in_the_pdf_of_a_figure() -> None:
    document = pdf(f"<html lang='en'><title>t</title><body>{canvas_of(NAMES).svg('t', 't')}</body></html>", {})
    done = subprocess.run(["pdftotext", "-", "-"], input=document, capture_output=True, check=True)
    printed = re.sub(r"[\u202a-\u202e\s]", "", done.stdout.decode())
    # Devanagari's conjuncts have no letters of their own, and come back as their first one.
    for name in ("知识回忆", "की", "שליפתידע", "استرجاعالمعرفة", "abc"):
        assert name in printed


def test_without_a_font_a_box_stands_and_the_package_is_named(no_fonts: None) -> None:
    assert [text for text, _, _ in runs("知x", 8)] == ["□x"]
    page = boxed("<html><body class='a'><p>知识 ज्ञ 🧮 ידע</p></body></html>")
    assert "[U+" not in page
    assert "<p>□□ □□□ □ ידע</p>" in page
    note = page.split("<body class='a'>")[1].split("</p>")[0]
    assert "apt-get install fonts-noto-core fonts-noto-cjk fonts-symbola" in note
    assert boxed("<body>plain</body>") == "<body>plain</body>"
    assert boxed("a 知 sentence") == "a □ sentence"


def test_papers_have_a_typeface_of_their_own_and_every_letter_nevertheless() -> None:
    with typeface(matplotlib_adapter.PAPER):
        found = {str(face.get_file()).rpartition("/")[2] for _, face, _ in runs("Layer ידע 知", 8, bold=True)}
        drawn = canvas_of(["Layer"]).svg("t", "t")
    assert {"STIXGeneralBol.ttf", "DejaVuSans-Bold.ttf"} < found
    assert len(found) == 3
    assert 'font-family="STIXGeneral' in drawn
    assert "STIX" not in str(runs("Layer", 8)[0][1].get_file())


def test_a_picture_of_a_name_has_ink() -> None:
    for name in NAMES:
        pixels = np.asarray(Image.open(io.BytesIO(canvas_of([name]).bitmap("png"))).convert("L"))
        assert (pixels < 128).sum() > 200, name
