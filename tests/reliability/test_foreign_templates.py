"""Templates that come with a report: nothing of them runs unless they are trusted, and then within limits."""

import ast
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import commands
import pytest

from reportgen.core.sandbox import environment
from reportgen.core.sentences import Prose
from reportgen.errors import InputError
from reportgen.importers.report_pdf import attached
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.options import Options
from reportgen.pipeline.run_directory import foreign_templates
from reportgen.pipeline.source import open_source, open_study
from reportgen.rendering.html import page as html
from reportgen.storage.files import sha256

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "archive"))
from made_archives import EPOCH, make_scores, write_study  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pdf]

SHELL = "{{ cycler.__init__.__globals__.os.popen('touch ran') }}"
CLASSES = "{{ ''.__class__.__mro__ }}"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLED = (
    "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}"
)
LONG = "{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}"
WORDS = "In {{ f.task }} heads stand together ({% if f.test %}q {{ f.test.q|q }}{% else %}undecided{% endif %})."


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of one's own words, page section and style sheet, with its PDF."""
    place = tmp_path_factory.mktemp("told")
    own = place / "own"
    put(own, {"observations/cluster.j2": WORDS, "sections/limits.j2": "<p>No limits.</p>", "report.css": "p {}"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        study = write_study(place / "study", make_scores(shape=(6, 8), examples=12))
        pipeline.build(study, place / "out", overrides={"report.templates": str(own)})
    return place / "out"


def put(folder: Path, templates: dict[str, str]) -> None:
    for name, text in templates.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def forged(report: Path, folder: Path, templates: dict[str, str]) -> Path:
    """A copy of the report whose templates are others, with the manifest redone."""
    shutil.copytree(report, folder)
    put(folder / "templates", templates)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in foreign_templates(folder):
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": sha256(content), "size": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def forged_pdf(report: Path, place: Path, templates: dict[str, str]) -> Path:
    """The report's PDF with others' templates attached, its attachments redone."""
    from pypdf import PdfReader, PdfWriter

    folder = forged(report, place / "forged", templates)
    files = {name: (folder / name).read_bytes() for name in attached(report / "report.pdf")}
    writer = PdfWriter()
    for page in PdfReader(report / "report.pdf").pages[:1]:
        writer.add_page(page)
    writer.add_metadata({"/Creator": "reportgen"})
    for name, content in files.items():
        writer.add_attachment(name, content)
    writer.write(place / "forged.pdf")
    return place / "forged.pdf"


def run(place: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    """The command in a folder of its own, where what a template touches would lie."""
    quiet = ["--quiet"] if words[0] != "explain" else []
    done = commands.run(*words, *quiet, cwd=place, environment={"SOURCE_DATE_EPOCH": EPOCH})
    assert not list(place.rglob("ran")), "a command ran"
    assert "Traceback" not in done.stderr
    return done


def test_no_other_environment_is_made_than_in_one_place() -> None:
    makers = {"Environment", "SandboxedEnvironment", "ImmutableSandboxedEnvironment", "NativeEnvironment", "Template"}
    for path in [*(ROOT / "reportgen").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]:
        if path == ROOT / "reportgen" / "core" / "sandbox.py":
            continue
        tree = ast.parse(path.read_text())
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not names & makers, path


def test_ours_are_filled_in_a_sandbox_with_strict_names(tmp_path: Path) -> None:
    put(tmp_path, {"a.j2": CLASSES, "b.j2": "{{ unknown }}", "c.j2": "{{ given.append(1) }}", "d.j2": "{{ '<' }}"})
    env = environment([tmp_path], {}, kind="test")
    for name in "abc":
        with pytest.raises(Exception, match=r"unsafe|undefined"):
            env.get_template(f"{name}.j2").render(given=[])
    assert env.get_template("d.j2").render() == "&lt;"


@pytest.mark.parametrize("template", [SHELL, ENDLESS])
def test_a_strangers_pdf_runs_nothing(told: Path, tmp_path: Path, template: str) -> None:
    names = ("observations/cluster.j2", "sections/limits.j2", "report.css")
    pdf, place = forged_pdf(told, tmp_path, dict.fromkeys(names, template)), tmp_path / "here"
    place.mkdir()
    done = run(place, "build", pdf, "-o", "again")
    assert done.returncode == 0, done.stderr
    said = "templates that came with the report are left out and ours used (templates/observations/cluster.j2, "
    assert said in done.stderr
    assert "--trust-templates" in done.stderr
    page = (place / "again" / "report.html").read_text()
    assert "Templates that came with the report were left out, and nothing of them ran: templates/obs" in page
    assert "form a cluster" in page
    assert template not in page
    assert foreign_templates(place / "again") == ()
    run(place, "verify", pdf)
    assert json.loads((place / "again" / "manifest.json").read_text())["templates_left_out"] == list(
        foreign_templates(tmp_path / "forged")
    )


def test_what_was_made_without_a_reports_templates_is_made_again_alike(told: Path, tmp_path: Path) -> None:
    made = pipeline.build(told / "report.pdf", tmp_path / "one")
    again = pipeline.build(made.pdf, tmp_path / "two")
    assert made.left_out == again.left_out != ()
    files = {p.relative_to(made.folder): p.read_bytes() for p in made.folder.rglob("*") if p.is_file()}
    assert files == {p.relative_to(again.folder): p.read_bytes() for p in again.folder.rglob("*") if p.is_file()}


def test_a_strangers_folder_runs_nothing(told: Path, tmp_path: Path) -> None:
    folder = forged(told, tmp_path / "forged", {"observations/cluster.j2": SHELL, "sections/limits.j2": SHELL})
    done = run(tmp_path, "analyze", folder, "-o", "found")
    assert (done.returncode, "--trust-templates" in done.stderr) == (0, True), done.stderr
    assert "form a cluster" in done.stdout
    findings = json.loads((folder / "findings.json").read_text())["findings"]
    assert run(tmp_path, "explain", folder, findings[0]["id"]).returncode == 0
    run(tmp_path, "verify", folder)
    done = run(tmp_path, "render", folder)
    assert (done.returncode, "--trust-templates" in done.stderr) == (0, True), done.stderr
    assert "form a cluster" in (folder / "report.html").read_text()
    assert "heads stand together" not in (folder / "report.html").read_text()
    assert foreign_templates(folder) == ()
    assert (folder / ".templates" / "sections" / "limits.j2").read_text() == SHELL  # nothing of the user's is lost
    assert not any("templates/" in name for name in json.loads((folder / "manifest.json").read_text())["files"])


@pytest.mark.parametrize("command", ["analyze", "render", "build"])
def test_trusted_templates_cannot_run_commands_either(told: Path, tmp_path: Path, command: str) -> None:
    put_in = {"observations/cluster.j2": SHELL, "sections/limits.j2": SHELL}
    place = tmp_path / "here"
    place.mkdir()
    source = forged_pdf(told, tmp_path, put_in) if command == "build" else forged(told, tmp_path / "forged", put_in)
    target = [] if command == "render" else ["-o", "found"]
    done = run(place, command, source, *target, "--trust-templates")
    assert done.returncode == 2
    assert "the template fails (access to attribute '__init__' of 'type' object is unsafe" in done.stderr


@pytest.mark.parametrize(
    ("name", "template", "limit"),
    [
        ("observations/cluster.j2", ENDLESS, "the template cluster.j2 takes more than 10 s"),
        ("observations/_parts.j2", "{{ 'a' * 10**10 }}", ".j2 takes more than 1 GiB of memory"),
        ("sections/limits.j2", DOUBLED, "the template sections/limits.j2 takes more than 1 GiB of memory"),
        ("report.html.j2", ENDLESS, "the template report.html.j2 takes more than 10 s"),
        (
            "sections/summary.j2",
            "{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}",
            "makes more than 64 MiB of text",
        ),
    ],
)
def test_trusted_templates_end_at_their_limits(
    told: Path, tmp_path: Path, name: str, template: str, limit: str
) -> None:
    folder, begun = forged(told, tmp_path / "forged", {name: template}), time.monotonic()
    with pytest.raises(InputError) as caught:
        pipeline.remake(folder, tmp_path / "again", options=Options(trust_templates=True))
    assert limit in caught.value.problem
    assert str(folder / "templates") in caught.value.location
    assert time.monotonic() - begun < 90  # ten seconds, and what a laden machine takes for all else


def test_values_offer_templates_nothing_that_writes(told: Path, tmp_path: Path) -> None:
    """An array writes files by a method of its own, which no underscore hides."""
    import numpy as np

    put(tmp_path, {"a.j2": "{{ given.tofile(name) }}", "b.j2": "{{ name.upper() }}{{ given.shape[0] }}"})
    fill = html.filling_overridden([tmp_path])
    with pytest.raises(InputError, match="not safely callable"):
        fill("a.j2", {"given": np.zeros(3), "name": str(tmp_path / "ran")})
    assert not (tmp_path / "ran").exists()
    assert fill("b.j2", {"given": np.zeros(3), "name": "x"}) == "X3"


def test_nothing_that_a_report_points_at_is_followed(told: Path, tmp_path: Path) -> None:
    """Neither its study.toml, nor its manifest, nor a link leads to templates anywhere else."""
    folder, elsewhere = shutil.copytree(told, tmp_path / "forged"), tmp_path / "elsewhere"
    put(elsewhere, {"observations/cluster.j2": "From elsewhere.", "secret.j2": "secret"})
    shutil.rmtree(folder / "templates")
    study = (folder / "study.toml").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    for pointed in (str(elsewhere), "../elsewhere"):
        (folder / "study.toml").write_text(study.replace("[report]", f'[report]\ntemplates = "{pointed}"'))
        manifest["overrides"] = {"report.templates": pointed}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        for trust in (False, True):
            assert open_study(folder, trust_templates=trust).study.report.templates is None
            assert open_source(folder, {}, trust_templates=trust).study.report.templates is None
            assert open_source(folder / "study.toml", {}, trust_templates=trust).left_out
    for link, target in ((folder / "templates", elsewhere), (folder / "templates" / "a.j2", elsewhere / "secret.j2")):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
        assert open_study(folder).left_out
        with pytest.raises(InputError, match="a link leads out"):
            open_study(folder, trust_templates=True)
        link.unlink()
    mine = open_study(folder, {"report.templates": str(elsewhere)})
    assert (mine.study.report.templates, mine.left_out) == (elsewhere, ())


def test_page_and_pdf_say_whose_words_they_are(told: Path, tmp_path: Path) -> None:
    from pypdf import PdfReader

    said = "Overriding templates worded or set parts of this report in place of reportgen’s own: "
    names = "observations/cluster.j2, report.css, sections/limits.j2."
    assert said + names in (told / "report.html").read_text()
    sheets = " ".join(" ".join(page.extract_text() for page in PdfReader(told / "report.pdf").pages).split())
    assert said in sheets
    assert "observations/cluster.j2" in sheets
    folder = forged(told, tmp_path / "forged", {"report.html.j2": "<html><body class='x'>All ours.</body></html>"})
    made = pipeline.remake(
        folder, tmp_path / "again", overrides={"report.formats": ["html"]}, options=Options(trust_templates=True)
    )
    page = made.html.read_text()
    assert page.startswith("<html><body class='x'><p class=\"banner\"")  # it cannot leave it out
    assert "report.html.j2" in page


def test_nothing_of_foreign_templates_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path / "cache"))
    put(tmp_path / "own", {"a.j2": "one"})
    assert html.filling_overridden([tmp_path / "own"])("a.j2", {}) == "one"
    assert not (tmp_path / "cache").exists()
    assert environment([tmp_path / "own"], {}, kind="k").get_template("a.j2").render() == "one"
    (cached,) = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    cached.parent.chmod(0o777)  # whoever may write here could put code here
    cached.write_bytes(b"j2" + cached.read_bytes()[2:-10])
    assert environment([tmp_path / "own"], {}, kind="k").get_template("a.j2").render() == "one"
    assert not Prose(tmp_path / "nowhere")._texts.overridden
