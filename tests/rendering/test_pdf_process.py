"""A process of its own makes the same PDF, and says what it lacks."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from made_reports import build, make_scores

from reportgen.errors import InputError, MissingResourceError
from reportgen.rendering.pdf import process as module
from reportgen.rendering.pdf import typeset

pytestmark = pytest.mark.pdf


@pytest.fixture(autouse=True)
def _epoch(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def test_a_process_of_its_own_makes_the_same_bytes(tmp_path):
    scores = make_scores(("One", "Two"), (3, 3))
    for apart in (False, True):
        build(tmp_path / str(apart), scores, separate_process=apart)
    assert (tmp_path / "True/report.pdf").read_bytes() == (tmp_path / "False/report.pdf").read_bytes()


def test_what_is_missing_there_is_said_here(tmp_path, monkeypatch):
    (tmp_path / "weasyprint.py").write_text('raise OSError("cannot load library")\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingResourceError, match="WeasyPrint does not load") as error:
        build(tmp_path / "out", make_scores(("One",), (2, 2)), separate_process=True)
    assert typeset.INSTALL in str(error.value)
    assert (tmp_path / "out/manifest.json").exists()
    assert not (tmp_path / "out/report.pdf").exists()


def test_a_process_that_is_killed_is_told_of():
    with module.SeparatePdfMaker() as maker:
        maker._process.send_signal(signal.SIGKILL)
        maker.begin("<html></html>")
        with pytest.raises(MissingResourceError, match="ended with signal 9"):
            maker.finish({})


def test_a_maker_that_is_left_leaves_no_process():
    with module.SeparatePdfMaker() as maker:
        maker.begin("<html></html>")
    with pytest.raises(ProcessLookupError):
        os.kill(maker._process.pid, 0)


PAGE = "<html><head><title>t</title></head><body>{}</body></html>"


def test_a_page_of_templates_that_are_not_ours_is_laid_out_within_limits(monkeypatch):
    with module.pdf_maker(1, False, True) as maker:
        maker.begin(PAGE.format("A page."))
        assert maker.finish({}).startswith(b"%PDF")
    monkeypatch.setattr(module, "LEAST", 6)
    with module.pdf_maker(1, False, True) as maker:  # a kilobyte of tables asks for a row of cells without end
        maker.begin(PAGE.format("<table><tr><td colspan='99999999'>a</td></tr></table>" * 9))
        with pytest.raises(InputError, match="laying out its page takes too"):
            maker.finish({})
    monkeypatch.setattr(module, "LEAST", 0.2)
    monkeypatch.setattr(module, "LETTERS_A_SECOND", 1e9)
    with module.pdf_maker(1, False, True) as maker:
        maker.begin(PAGE.format("<p>A page.</p>" * 20_000))
        with pytest.raises(InputError, match="laying out its page takes too long"):
            maker.finish({})


def test_large_scores_take_one_process_after_another():
    assert type(module.pdf_maker(module.LARGEST + 1, True)) is module.PdfMaker
    assert type(module.pdf_maker(1, False)) is module.PdfMaker


def test_a_heading_of_the_paper_theme_goes_to_the_page_of_what_follows():
    css = (Path(typeset.__file__).parents[3] / "templates" / "print.css").read_text()
    assert not re.search(r"var\(|flex|grid", re.sub(r"/\*.*?\*/", "", css, flags=re.S))  # what is slow in WeasyPrint
    sections = "".join(
        f'<section><h2>{name}</h2><div style="height: {mm}mm; break-inside: avoid"></div><p>text</p></section>'
        for name, mm in (("First", 200), ("Second", 60))  # there is room for the second heading, not for what it heads
    )
    page = f'<style>{css}</style><body class="theme-paper"><div class="appendix">{sections}</div>'
    pdf = typeset.load_weasyprint().HTML(string=page).write_pdf()
    text = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
    pages = text.split("\f")
    assert "First" in pages[0]
    assert "Second" in pages[1]
    assert "text" in pages[1]
