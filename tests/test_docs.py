"""The documentation: the site builds, what it names exists, and what comes from the code is what the code says now."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from typer.testing import CliRunner

import reportgen
from reportgen.cli.main import app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
PAGES = sorted(
    p
    for folder in (".", "docs", "benchmarks", "changelog.d", "sample_data", ".github")
    for p in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
PATH = re.compile(r"`((?:reportgen|templates|tests|benchmarks|tools|docs|sample_data)/[\w./<>*-]+)(?<!/\d)`")
HEAD = re.compile(r"# (\d{4})\. (.+)\n\nDate: (\d{4}-\d\d-\d\d) · Status: (accepted|superseded by \d{4})\n\n")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tool(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    return __import__(name)


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def test_the_site_documents_every_public_name(site: Path) -> None:
    page = (site / "reference" / "api.html").read_text()
    assert [name for name in reportgen.__all__ if f'id="reportgen.{name}"' not in page] == []


def test_the_site_fetches_nothing(site: Path) -> None:
    fetched = re.compile(r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*href=\"?(?:https?:)?//")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [name.name for name in pages if fetched.search(name.read_text())] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_relative_links_lead_to_files(path: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(prose(path)) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", [p for p in PAGES if p.name != "CHANGELOG.md" and p not in DECISIONS], ids=name_of)
def test_paths_that_pages_name_exist(path: Path) -> None:
    named = [re.sub(r"<[^>]*>", "*", found) for found in PATH.findall(path.read_text())]
    assert [found for found in named if not any(ROOT.glob(found.rstrip("/")))] == []


def commands_in(text: str) -> Iterator[list[str]]:
    """The commands of reportgen in blocks of code, in fences or indented, without remarks."""
    for line in re.findall(r"^(?:    |srun )?(?:srun |--\w.* )?reportgen ([a-z].*)$", text, flags=re.MULTILINE):
        yield line.partition("  #")[0].split()


@pytest.mark.parametrize("path", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=name_of)
def test_commands_that_pages_print_exist(path: Path) -> None:
    for name, *arguments in commands_in(path.read_text()):
        run = CliRunner().invoke(app, [name, "--help"])
        assert run.exit_code == 0, f"reportgen {name}"
        options = [a.partition("=")[0] for a in arguments if re.match(r"--?[a-z]", a)]
        assert [o for o in options if not re.search(rf"(?<![\w-]){o}(?![\w-])", run.output)] == [], name


def test_pages_made_from_the_code_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    written = tool("write_reference", monkeypatch).written()
    old = [name_of(path) for path, text in written.items() if not path.is_file() or path.read_text() != text]
    assert old == [], "run: python tools/write_reference.py"


def test_the_architectures_picture_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = tool("draw_architecture", monkeypatch)
    picture = drawing.picture()
    assert drawing.PICTURE.read_text() == picture, "run: python tools/draw_architecture.py"
    names = {e.text for e in ElementTree.fromstring(picture).iter() if e.get("class") == "name"}
    assert names == {p.parent.name for p in (ROOT / "reportgen").glob("*/__init__.py")} | {"errors"}


def test_the_gallery_and_the_picture_are_those_of_todays_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README shows was made by today's templates, words, version; its date and pages are true."""
    made = tool("make_gallery", monkeypatch)
    again = "run: python tools/make_gallery.py SAMPLE FIGURE, with the folders of both reports, built anew"
    record = json.loads(made.RECORD.read_text())
    assert (record["made_from"], record["reportgen"]) == (made.made_from(), reportgen.__version__), again
    files = {path: digest for of in record["reports"].values() for path, digest in of["files"].items()}
    paths = {made.GALLERY / name: digest for name, digest in files.items()}
    paths |= {made.PICTURE: record["picture"]}
    assert [name_of(p) for p, digest in paths.items() if not p.is_file() or made.digest(p) != digest] == [], again
    assert sum(p.stat().st_size for p in made.GALLERY.iterdir()) < made.MOST
    index, readme = made.INDEX.read_text(), made.README.read_text()
    for name, of in record["reports"].items():
        page = (made.GALLERY / f"{name}.html").read_text()
        assert made.pages(made.GALLERY / f"{name}.pdf") == of["pages"]
        assert f"{of['pages']} pages" in index
        assert [claim for claim in of["claims"] if claim not in unescape(page)] == []
        assert record["created"] in page
    assert f"on {record['created']};" in index
    claims = [{"headline": headline} for headline in record["reports"]["sample"]["claims"]]
    assert claims
    assert made.with_claims(readme, made.claim_lines(claims)) == readme


def test_the_readme_is_read_in_a_minute() -> None:
    readme = prose(ROOT / "README.md")
    assert len(readme.split()) < 1200
    shown = [line.partition("|")[2].partition("|")[0].strip() for line in readme.splitlines() if line.startswith("| ")]
    for peer in ("TransformerLens", "nnsight", "CircuitKit", "MultiQC"):
        assert any(peer in name for name in shown), peer


def test_decisions_are_numbered_once_dated_and_listed() -> None:
    rows = []
    for path in DECISIONS:
        found = re.match(
            r"# (\d{4})\. (.+)\n\nDate: (\d{4}-\d\d-\d\d) · Status: (accepted|superseded by \d{4})\n\n",
            path.read_text(),
        )
        assert found, f"{path.name} does not begin with number, title, date and status"
        number, title, date, status = found.groups()
        assert path.name.startswith(f"{number}-")
        rows.append(f"| [{number}]({path.name}) | {title} | {date} | {status} |")
    numbers = [path.name[:4] for path in DECISIONS]
    assert numbers == [f"{i + 1:04}" for i in range(len(numbers))]
    assert re.findall(r"^\| \[.*$", (DOCS / "decisions" / "index.md").read_text(), flags=re.MULTILINE) == rows


def test_the_glossary_defines_the_houses_words_once() -> None:
    terms = re.findall(r"^(\*\*.*?): ", (DOCS / "glossary.md").read_text(), flags=re.MULTILINE)
    words = [word for term in terms for word in re.findall(r"\*+([\w/ -]+?)\*+", term)]
    assert len(words) == len(set(words))
    expected = "layer head task example method metric finding claim trial set verdict shard group block checkpoint hint"
    assert {*expected.split(), "control set", "run directory", "cache key", "location"} <= set(words)


def test_the_sites_pages_are_all_in_its_order() -> None:
    """mkdocs lets pages go that ``not_in_nav`` names; these are the decisions, which their index lists."""
    text = (ROOT / "mkdocs.yml").read_text()
    assert yaml.safe_load(text)["not_in_nav"].split() == ["/decisions/0*.md", "/examples/"]


def test_the_first_tutorial_tells_what_its_commands_do(tmp_path: Path) -> None:
    """Its finding is one of the sample figure's, in the page's words, and explains itself by its id."""
    page = (DOCS / "tutorial" / "first-report.md").read_text()
    scores, folder = ROOT / "sample_data" / "figure" / "scores.csv", tmp_path / "report"
    assert all(f"\n{line}\n" in page for line in scores.read_text().splitlines()[:3])
    run = CliRunner().invoke(app, ["analyze", str(scores), "-o", str(folder), "--json", "--quiet"])
    assert run.exit_code == 0, run.output
    (printed,) = re.findall(r"^```text\n(Decision-making: .*?) \[tested\]\n```$", page, flags=re.DOTALL | re.MULTILINE)
    beginning, _, end = printed.replace("\n", " ").partition(" …, ")
    (sentence,) = (s for s in json.loads(run.output)["sentences"] if s.startswith(beginning))
    assert end.rstrip(".") in sentence
    (finding,) = re.findall(r"^reportgen explain report (\S+)$", page, flags=re.MULTILINE)
    explained = CliRunner().invoke(app, ["explain", str(folder), finding])
    assert explained.exit_code == 0, explained.output
    assert sentence in explained.output


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_as_it_was_saved() -> None:
    import nbclient
    import nbformat

    path = DOCS / "tutorial" / "api.ipynb"
    notebook = nbformat.read(path, as_version=4)
    saved = [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    made = [bool(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    assert saved == made, "run: jupyter execute --inplace docs/tutorial/api.ipynb"
