"""LaTeX: what is escaped, and a page that takes in figures, captions, tables and the citation of a report.

The page is compiled, on names that LaTeX would trip over; its commands are looked at too: every file that it takes in
is there, and braces and environments are closed.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made_reports import HOSTILE, build, make_scores, make_study

from reportgen.core.config import StudySection
from reportgen.rendering.paper.latex import BLOCKS, SYMBOLS, escaped, latex
from reportgen.rendering.tables import Table

pytestmark = pytest.mark.pdf

NAMES = (*HOSTILE, "[square] *star", "Łódź naïve Ωμέγα ‖x‖ ∂y/∂z — “q” e\u0301", "\\end{document}")


def tex(command: str, source: Path) -> str:
    """What a command of TeX prints on a source that it can do; the test fails where it cannot, or is not there."""
    if shutil.which(command) is None:
        pytest.fail(f"{command} is missing: install TeX Live with `tools/system.sh test`")
    options = [] if command == "bibtex" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([command, *options, source.stem], cwd=source.parent, capture_output=True, check=False)
    printed = done.stdout.decode(errors="replace")
    assert done.returncode == 0, printed[-2000:]
    return printed


@pytest.fixture(scope="module", params=["icml", None])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = make_study(formats=["html"], venue=request.param)
    about = StudySection(title="R&D 100 % of {braces} \\evil_1 # ~^ 漢字", authors=["A. & B. Author", "Smith and Sons"])
    folder = tmp_path_factory.mktemp("latex")
    build(folder, make_scores(NAMES, examples=12), study=study.model_copy(update={"study": about}), figures=("pdf",))
    return folder / "example.tex"


def test_every_file_is_there_and_everything_is_closed(page: Path) -> None:
    text = page.read_text()
    used = re.findall(r"\\includegraphics(?:\[[^]]*\])?\{(.*?)\}", text)
    assert len(used) >= 1
    assert all((page.parent / f"{name}.pdf").is_file() for name in used)
    taken = re.findall(r"\\input\{(.*?)\}", text)
    assert len(taken) == 2
    for name in (f"{page.stem}", *taken):
        source = (page.parent / f"{name}.tex").read_text()
        plain = re.sub(r"\\[\\{}%]", "", source)
        assert plain.count("{") == plain.count("}"), name
        assert source.isascii(), name
        for kind in set(re.findall(r"\\begin\{(\w+\*?)\}", source)):
            assert source.count(f"\\begin{{{kind}}}") == source.count(f"\\end{{{kind}}}"), name
    (cited,) = re.findall(r"\\cite\{(.*?)\}", text)
    bib = (page.parent / "report.bib").read_text()
    assert {*cited.split(",")} == {*re.findall(r"@misc\{(.*?),", bib)}


def test_it_compiles_on_one_page(page: Path) -> None:
    tex("pdflatex", page)
    assert "Warning" not in tex("bibtex", page)
    tex("pdflatex", page)
    printed = tex("pdflatex", page)
    assert "Output written on example.pdf (1 page" in printed
    assert "undefined" not in printed
    shown = subprocess.run(["pdftotext", "example.pdf", "-"], cwd=page.parent, capture_output=True, check=True)
    text = " ".join(shown.stdout.decode().split())
    assert "R&D 100 % of {braces} \\evil_1 # ~" in text
    assert "The 10 most important heads on <script>alert(1)</script>" in text
    assert re.search(r"made with reportgen [\d.]+ \[\d", text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b [1] *", r"a\textbar{}b [1] *"),
        ("naïve Ł ß", r"na{\"\i}ve {\L} {\ss}"),
        ("μ Ω Α", r"\ensuremath{\mu} \ensuremath{\Omega} A"),
        ("10⁻³ ≤ ∂x", r"10$^{-3}$ \ensuremath{\leq} \ensuremath{\partial}x"),
        ("漢\u202e", "{[}U+6F22]{[}U+202E]"),
        ("“a” … –", r"``a'' \ldots{} --"),
        ("«ə‹", "{[}U+00AB]{[}U+0259]{[}U+2039]"),
    ],
)
def test_what_latex_may_lack_is_spelled(text: str, written: str) -> None:
    assert escaped(text) == written


@pytest.mark.parametrize("fonts", ["", r"\usepackage[T1]{fontenc}\usepackage{lmodern}"])
def test_every_character_that_is_written_compiles_without_packages(fonts: str, tmp_path: Path) -> None:
    characters = [chr(code) for low, high in BLOCKS for code in range(low, high + 1)] + list(SYMBOLS)
    written = [escaped(character) for character in characters]
    assert sum("U+" not in each for each in written) > 300
    source = tmp_path / "all.tex"
    source.write_text(
        "\n\n".join([rf"\documentclass{{article}}{fonts}\begin{{document}}", *written, r"\end{document}"])
    )
    tex("pdflatex", source)
    assert "Missing character" not in source.with_suffix(".log").read_text(errors="replace")


def test_text_is_printed_as_it_stands_by_every_engine(tmp_path: Path) -> None:
    text = "a--b ''c'' ``d`` ,,e ?`f \"g\" ű [h] *i x_y ~z 10⁻³ ħ"
    for command, fonts in (("pdflatex", r"\usepackage[T1]{fontenc}\usepackage{lmodern}"), ("lualatex", "")):
        source, rows = tmp_path / f"{command}.tex", tuple((f"{i}", "x") for i in range(40))
        made = [latex(Table("", text, (("A", False), ("B", True)), each), "t") for each in (rows[:2], rows)]
        parts = [rf"\documentclass{{article}}{fonts}\usepackage{{booktabs,longtable}}\begin{{document}}", *made]
        source.write_text("\n".join([*parts, r"\end{document}"]))
        tex(command, source)
        assert "Missing character" not in source.with_suffix(".log").read_text(errors="replace")
        done = subprocess.run(["pdftotext", source.with_suffix(".pdf"), "-"], capture_output=True, check=True)
        printed = " ".join(done.stdout.decode().replace("’", "'").replace("‘", "`").replace("−", "-").split())
        assert printed.count("a--b ''c'' ``d`` ,,e ?`f \"g\" ű [h] *i x_y ~z 10-3 [U+0127]") == 2, (
            command,
            printed[:200],
        )


def test_rows_never_begin_with_an_option_of_the_row_before() -> None:
    rows = (("[1]", "a"), ("*", "b"))
    assert "\n{}[1] & a \\\\\n{}* & b \\\\\n" in latex(Table("", "Caption", (("A", False), ("B", False)), rows), "t")


def test_long_tables_break_across_pages() -> None:
    rows = tuple((str(i),) for i in range(60))
    assert r"\begin{longtable}{l}" in latex(Table("", "Long", (("A", False),), rows), "t")
