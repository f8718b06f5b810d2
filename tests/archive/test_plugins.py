"""Sections, detectors and methods of other packages: installed as users install them, and broken in every way."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from made_archives import EPOCH, build, make_scores, write_study

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.archive.verify import Verification, verify
from reportgen.errors import InputError
from reportgen.importers.report_pdf import reading
from reportgen.pipeline import build as pipeline

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "reportgen-extras"
STUDY = """[model]
path = "{root}/sample_data/model"
[tasks]
path = "{root}/sample_data/tasks.jsonl"
limit = 12
[scoring]
method = "{method}"
also = ["{also}"]
[validation]
enabled = false
[report]
formats = ["html"]
"""


@pytest.fixture(scope="session")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example, installed from its folder by pip without a network."""
    place = tmp_path_factory.mktemp("extras")
    source = shutil.copytree(EXAMPLE, place / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", place / "site", source], check=True)
    return place / "site"


def run(*arguments: object, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, [ROOT, *([site] if site else [])]))
    environment = {**os.environ, "PYTHONPATH": path, "SOURCE_DATE_EPOCH": EPOCH}
    command = [sys.executable, "-m", "reportgen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def told(found: Verification) -> list[str]:
    return [f"{check.what}: {check.wrong}" for check in found.differences]


def test_the_worked_example_runs_as_an_installed_package(extras: Path, tmp_path: Path) -> None:
    assert "peak_norm" not in run("methods").stdout  # nothing is loaded that is not installed
    shown = json.loads(run("methods", "peak_norm", "--json", site=extras).stdout)
    assert shown["formula"].startswith("s(e, l, h) = max over positions t")
    assert "leading_layer: Which layer holds" in run("detectors", site=extras).stdout

    (tmp_path / "study.toml").write_text(STUDY.format(root=ROOT, method="gate_gradient", also="peak_norm"))
    done = run("build", tmp_path, "-o", tmp_path / "out", "--quiet", site=extras)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    kinds = (
        ("reportgen.methods", "peak_norm"),
        ("reportgen.detectors", "leading_layer"),
        ("reportgen.sections", "at_a_glance"),
    )
    assert manifest["plugins"] == [
        {"group": group, "name": name, "package": "reportgen-extras", "version": "0.1.0", "error": ""}
        for group, name in kinds
    ]
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())["findings"]
    said = [f["sentence"] for f in findings if f["kind"] == "leading_layer"]
    assert len(said) == 8
    assert said[0].startswith("Knowledge Recall: layer 0 holds more of the importance than any other, 3")
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(sentence in page for sentence in said)
    assert page.count("Each task’s most important head") == 2  # the table's caption and its label
    assert (tmp_path / "out" / "scores-peak_norm.safetensors").is_file()
    assert "section at_a_glance of reportgen-extras 0.1.0" in page


@pytest.fixture(scope="session")
def with_extras(extras: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that the example's detector and section are part of."""
    place = tmp_path_factory.mktemp("with-extras")
    study = write_study(place / "study", make_scores())
    done = run("build", study, "-o", place / "report", "--quiet", site=extras)
    assert done.returncode == 0, done.stderr
    return place / "report"


def test_where_the_package_is_installed_everything_is_compared(extras: Path, with_extras: Path, tmp_path: Path) -> None:
    done = run("verify", with_extras / "report.pdf", "--json", "--quiet", site=extras)
    found = json.loads(done.stdout)
    assert (found["result"], found["not_checked"]) == ("verified", [])
    assert "report.pdf, made again" in found["held"]
    assert "finding leading_layer/recall/1" in found["held"]

    again = tmp_path / "again"
    assert run("build", with_extras / "report.pdf", "-o", again, "--quiet", site=extras).returncode == 0
    for path in (p for p in with_extras.rglob("*") if p.is_file()):
        assert (again / path.relative_to(with_extras)).read_bytes() == path.read_bytes(), path.name

    text = (with_extras / "findings.json").read_text()
    broken = shutil.copytree(with_extras, tmp_path / "broken")
    (broken / "findings.json").write_text(text.replace("than any other, ", "than any other, 1"))
    done = run("verify", broken, "--json", "--quiet", site=extras)
    assert done.returncode == 1
    assert "finding leading_layer/recall/1" in {d["what"] for d in json.loads(done.stdout)["differences"]}


def test_where_it_is_absent_verify_says_so_by_name(with_extras: Path) -> None:
    found = verify(with_extras / "report.pdf")
    assert told(found) == []
    absent = "of reportgen-extras 0.1.0 makes: that package is not installed here"
    assert found.result == "not fully verified"
    assert f"what the detector leading_layer {absent}" in found.unchecked
    assert f"what the section at_a_glance {absent}" in found.unchecked
    assert any(each.startswith("report.pdf, made again: ") for each in found.unchecked)
    checked = {check.what for check in found.checks}
    assert "report.pdf, sentence of leading_layer/recall/1" in checked  # what was written is still looked up
    assert "finding leading_layer/recall/1" not in checked


def test_another_version_is_named_and_compared_as_far_as_it_goes(
    extras: Path, with_extras: Path, tmp_path: Path
) -> None:
    newer = shutil.copytree(extras, tmp_path / "newer")
    (dist,) = newer.glob("*.dist-info")
    metadata = (dist / "METADATA").read_text().replace("Version: 0.1.0", "Version: 0.2.0")
    (dist / "METADATA").write_text(metadata)
    dist.rename(newer / "reportgen_extras-0.2.0.dist-info")
    done = run("verify", with_extras, "--json", "--quiet", site=newer)
    found = json.loads(done.stdout)
    assert done.returncode == 4
    assert any("reportgen-extras 0.1.0 (0.2.0 here)" in each for each in found["not_checked"])
    assert "finding leading_layer/recall/1" in found["held"]


def test_a_report_without_plug_ins_is_verified_without_those_installed_since(extras: Path, whole: Path) -> None:
    found = json.loads(run("verify", whole, "--json", "--quiet", site=extras).stdout)
    assert found["differences"] == []
    assert "report.pdf, made again" in found["held"]


def test_a_report_made_again_without_the_package_says_so(with_extras: Path, tmp_path: Path) -> None:
    done = run("build", with_extras / "report.pdf", "-o", tmp_path / "again", "--quiet")
    assert done.returncode == 0
    sentence = "The detector leading_layer of reportgen-extras 0.1.0 is left out: it is not installed here."
    assert f"reportgen: {sentence} All else stands." in done.stderr.splitlines()
    assert sentence in (tmp_path / "again" / "report.html").read_text()
    assert told(verify(tmp_path / "again")) == []


def finds(what: str, kind: str = "odd") -> str:
    """The code of a detector that returns one finding."""
    finding = f"v.finding('{kind}', 0, 'observed', 1, rule='r'{what})"
    return f"DETECTOR = Detector('odd', lambda v, e: Outcome('odd', [{finding}]), doc='x')"


BROKEN = {
    "at import": ("raise OSError('no file /home/ada/secret/weights.bin')", "OSError: no file …/weights.bin"),
    "leaving": ("raise SystemExit('enough')", "SystemExit: enough"),
    "no detector": ("DETECTOR = print", "TypeError: {module}:DETECTOR is no Detector"),
    "another name": ("DETECTOR = Detector('other', lambda *_: 0, doc='x')", "ValueError: it calls itself other"),
    "when run": ("def run(v, e): raise KeyError(7)\nDETECTOR = Detector('odd', run, doc='x')", "KeyError: 7"),
    "no outcome": (
        "DETECTOR = Detector('odd', lambda *_: [], doc='x')",
        "TypeError: it returned no Outcome of kind odd",
    ),
    "strange kind": (finds("", "cluster"), "ValueError: a finding of kind cluster"),
    "strange head": (finds(", members=['L99H0']"), "InputError: odd: finding  is about a task or head that the scores"),
    "no JSON": (finds(", data={'x': print}"), "PydanticSerializationError: Unable to serialize unknown type"),
    "failing template": (finds(""), "InputError: …/detector failing template/templates/observations/odd.j2, line 1: "),
}


def plugin(folder: Path, code: str, group: str, name: str, attribute: str) -> str:
    """A package as pip leaves one: its module, and the metadata with one entry point."""
    module = f"made_{folder.name}".replace("-", "_").replace(" ", "_")
    dist = folder / f"{module}-1.0.dist-info"
    dist.mkdir(parents=True)
    (folder / f"{module}.py").write_text(
        "from reportgen.analysis.view import Detector, Outcome\n"
        "from reportgen.rendering.sections.common import Section\n"
        "from dataclasses import replace\n" + code
    )
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{attribute}\n")
    return module


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_detector_is_named_and_the_others_find_what_they_find(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, why = BROKEN[how]
    module = plugin(tmp_path / f"detector {how}", code, "reportgen.detectors", "odd", "DETECTOR")
    if how == "failing template":
        sentences = tmp_path / f"detector {how}" / "templates" / "observations"
        sentences.mkdir(parents=True)
        (sentences / "odd.j2").write_text("{{ nothing }}")
    settings = Settings(permutations=999, detectors=("concentration", "cluster", "odd", "absence"))
    plain = analyze(make_scores(), replace(settings, detectors=("concentration", "cluster", "absence")))
    monkeypatch.syspath_prepend(str(tmp_path / f"detector {how}"))
    found = analyze(make_scores(), settings)
    (failed,) = found.plugins
    assert failed.failure.startswith(f"The detector odd of {module} 1.0 is left out: {why.format(module=module)}")
    assert found.findings == plain.findings


def test_a_report_says_which_detector_failed(paged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = plugin(tmp_path / "said", BROKEN["when run"][0], "reportgen.detectors", "odd", "DETECTOR")
    monkeypatch.syspath_prepend(str(tmp_path / "said"))
    built = build(tmp_path / "study", make_scores(), tmp_path / "out", formats=("html",))
    said = f"The detector odd of {module} 1.0 is left out: KeyError: 7."
    assert [p.failure for p in built.plugins] == [said]
    assert said in built.html.read_text()
    assert said in built._repr_html_()
    told_there = json.loads((built.folder / "findings.json").read_text())
    assert [p["error"] for p in told_there["plugins"]] == ["KeyError: 7"]
    assert told_there["findings"] == json.loads((paged / "findings.json").read_text())["findings"]
    assert told(verify(built.folder)) == []


def test_a_broken_section_is_named_on_page_and_pdf_and_on_the_terminal(tmp_path: Path) -> None:
    def fails(how: str, code: str) -> Path:
        module = plugin(tmp_path / f"section {how}", code, "reportgen.sections", "odd", "SECTION")
        done = run("build", study, "-o", tmp_path / how, "--quiet", site=tmp_path / f"section {how}")
        assert done.returncode == 0
        assert done.stderr.startswith(f"reportgen: The section odd of {module} 1.0 is left out: ")
        assert done.stderr.endswith(" All else stands.\n")
        said = done.stderr.removeprefix("reportgen: ").partition(" All else")[0]
        (recorded,) = json.loads((tmp_path / how / "manifest.json").read_text())["plugins"]
        assert recorded["error"] in said
        page = unescape((tmp_path / how / "report.html").read_text())
        assert page.count(f"{recorded['error']}. The rest of the report stands.") == 1
        assert 'id="odd"' not in page
        return tmp_path / how

    study = write_study(tmp_path / "study", make_scores())
    folder = fails("run", "def view(report):\n    return [][1]\nSECTION = Section('odd', 'Odd', view)\n")
    with reading(folder / "report.pdf") as reader:
        first = " ".join(reader.pages[0].extract_text().split())
    assert "is left out: IndexError: list index out of range. The rest of the report stands." in first
    # from where its package is absent, what is left is compared
    assert told(verify(folder)) == []
    sections = tmp_path / "section template" / "templates" / "sections"
    sections.mkdir(parents=True)
    (sections / "odd.j2").write_text("{{ nothing }}")
    fails("template", "SECTION = Section('odd', 'Odd', lambda report: {})\n")


@pytest.mark.parametrize(
    ("group", "name", "attribute", "kind"),
    [
        ("reportgen.detectors", "cluster", "DETECTOR", "detector"),
        ("reportgen.sections", "summary", "SECTION", "section"),
    ],
)
def test_a_name_of_ours_is_refused_by_name(
    group: str, name: str, attribute: str, kind: str, paged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = plugin(tmp_path / f"taken {kind}", "raise OSError('it was loaded')", group, name, attribute)
    monkeypatch.syspath_prepend(str(tmp_path / f"taken {kind}"))
    built = build(tmp_path / "study", make_scores(), tmp_path / "out", formats=("html",))
    said = f"The {kind} {name} of {module} 1.0 is left out: {name} is a name of reportgen’s own."
    assert [p.failure for p in built.plugins] == [said]
    assert said in built.html.read_text()
    plain = json.loads((paged / "findings.json").read_text())
    assert json.loads((built.folder / "findings.json").read_text())["findings"] == plain["findings"]


def test_a_broken_further_method_is_named_and_the_others_are_scored(tmp_path: Path) -> None:
    code = (
        "from reportgen.scoring.methods.activation_norm import METHOD as NORM\n"
        "def score(setting, batch):\n    raise ZeroDivisionError('of all things')\n"
        "METHOD = replace(NORM, name='odd', score=score)\n"
    )
    module = plugin(tmp_path / "method", code, "reportgen.methods", "odd", "METHOD")
    (tmp_path / "study.toml").write_text(STUDY.format(root=ROOT, method="gate_gradient", also="odd"))
    done = run("build", tmp_path, "-o", tmp_path / "out", "--quiet", site=tmp_path / "method")
    assert done.returncode == 0, done.stderr
    said = f"The method odd of {module} 1.0 is left out: ZeroDivisionError: of all things."
    assert done.stderr == f"reportgen: {said} All else stands.\n"
    assert said in (tmp_path / "out" / "report.html").read_text()
    assert sorted(p.name for p in (tmp_path / "out").glob("scores*")) == [
        "scores-activation_norm.safetensors",
        "scores.csv",
        "scores.safetensors",
    ]
    assert told(verify(tmp_path / "out")) == []


def test_a_first_method_that_raises_leaves_nothing_to_report(tmp_path: Path) -> None:
    code = (
        "from reportgen.scoring.methods.activation_norm import METHOD as NORM\n"
        "def score(setting, batch):\n    raise ZeroDivisionError('of all things')\n"
        "METHOD = replace(NORM, name='odd', score=score)\n"
    )
    module = plugin(tmp_path / "first", code, "reportgen.methods", "odd", "METHOD")
    (tmp_path / "study.toml").write_text(STUDY.format(root=ROOT, method="odd", also="activation_norm"))
    done = run("build", tmp_path, "-o", tmp_path / "out", "--quiet", site=tmp_path / "first")
    assert done.returncode == 2
    assert done.stderr == (
        f"reportgen: [scoring] method: the method odd of {module} 1.0 cannot be used (ZeroDivisionError: of all "
        "things). Mend that package, or choose another method.\n"
    )


def test_a_plug_in_asked_for_by_name_that_fails_is_no_unknown_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "asked", "raise OSError('gone')", "reportgen.detectors", "odd", "DETECTOR")
    monkeypatch.syspath_prepend(str(tmp_path / "asked"))
    study = write_study(tmp_path / "study", make_scores(), formats=("html",))
    only = {"analysis.detectors": ["odd"], "report.sections": ["summary"]}
    built = pipeline.build(study, tmp_path / "out", overrides=only)
    assert built.findings.findings == []
    assert built.plugins[0].error == "OSError: gone"
    with pytest.raises(InputError, match="no detector is called 'even'"):
        pipeline.build(study, tmp_path / "other", overrides={"analysis.detectors": ["even"]})
