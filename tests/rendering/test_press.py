"""A process of its own makes the same PDF, and says what it lacks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_reports import build, make_scores

from reportgen.errors import InputError, MissingResourceError
from reportgen.rendering.pdf import process as module
from reportgen.rendering.pdf import typeset
from reportgen.rendering.pdf.print_style import for_print


@pytest.fixture(autouse=True)
def _epoch(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def test_a_process_of_its_own_makes_the_same_bytes(tmp_path):
    scores = make_scores(("One", "Two"), (3, 3))
    for apart in (False, True):
        build(tmp_path / str(apart), scores, apart=apart)
    assert (tmp_path / "True/report.pdf").read_bytes() == (tmp_path / "False/report.pdf").read_bytes()


def test_what_is_missing_there_is_said_here(tmp_path, monkeypatch):
    (tmp_path / "weasyprint.py").write_text('raise OSError("cannot load library")\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingResourceError, match="WeasyPrint does not load") as error:
        build(tmp_path / "out", make_scores(("One",), (2, 2)), apart=True)
    assert typeset.INSTALL in str(error.value)
    assert (tmp_path / "out/manifest.json").exists()
    assert not (tmp_path / "out/report.pdf").exists()


def test_a_process_that_is_killed_is_told_of():
    with module.PressApart() as press:
        press._process.send_signal(signal.SIGKILL)
        press.begin("<html></html>")
        with pytest.raises(MissingResourceError, match="ended with signal 9"):
            press.finish({})


def test_a_press_that_is_left_leaves_no_process():
    with module.PressApart() as press:
        press.begin("<html></html>")
    with pytest.raises(ProcessLookupError):
        os.kill(press._process.pid, 0)


PAGE = "<html><head><title>t</title></head><body>{}</body></html>"


def test_a_page_of_templates_that_are_not_ours_is_laid_out_within_limits(monkeypatch):
    with module.press(1, False, True) as press:
        press.begin(PAGE.format("A page."))
        assert press.finish({}).startswith(b"%PDF")
    monkeypatch.setattr(module, "LEAST", 6)
    with module.press(1, False, True) as press:  # a kilobyte of tables asks for a row of cells without end
        press.begin(PAGE.format("<table><tr><td colspan='99999999'>a</td></tr></table>" * 9))
        with pytest.raises(InputError, match="laying out its page takes too"):
            press.finish({})
    monkeypatch.setattr(module, "LEAST", 0.2)
    monkeypatch.setattr(module, "PACE", 1e9)
    with module.press(1, False, True) as press:
        press.begin(PAGE.format("<p>A page.</p>" * 20_000))
        with pytest.raises(InputError, match="laying out its page takes too long"):
            press.finish({})


def test_large_scores_take_one_process_after_another():
    assert type(module.press(module.LARGEST + 1, True)) is module.Press
    assert type(module.press(1, False)) is module.Press


def test_print_has_neither_screens_rules_nor_the_roots_variables():
    css = """/* a */ :root { --ink: #111; --own: 1pt }
    @media screen and (min-width: 9rem) { :root { --ink: #eee } p { color: red } }
    p { color: var(--ink); margin: var(--own) } .x { --own: 2pt }
    @media print { :root { --ink: #222 } p { top: 0 } }"""
    printed = for_print(css)
    assert "color: #222; margin: var(--own)" in printed
    assert "top: 0" in printed
    assert "red" not in printed


def test_a_heading_of_the_paper_theme_goes_to_the_page_of_what_follows():
    css = for_print((Path(typeset.__file__).parents[2] / "templates" / "report.css").read_text())
    sections = "".join(
        f'<section><h2>{name}</h2><div style="height: {mm}mm; break-inside: avoid"></div><p>text</p></section>'
        for name, mm in (("First", 200), ("Second", 60))  # there is room for the second heading, not for what it heads
    )
    page = f'<style>{css}</style><body class="theme-paper"><main>{sections}</main>'
    pdf = typeset._weasyprint().HTML(string=page).write_pdf()
    text = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
    pages = text.split("\f")
    assert "First" in pages[0]
    assert "Second" in pages[1]
    assert "text" in pages[1]


def test_scipy_is_loaded_without_its_notes_and_computes_as_ever():
    code = (
        "from reportgen.core.lean import without_scipys_notes as f; f()\nfrom scipy import stats\n"
        "r = stats.spearmanr([1, 2, 3, 4], [1, 3, 2, 4]).statistic\n"
        "print(round(r, 9), 'correlation' in stats.spearmanr.__doc__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0.8", "False"]
