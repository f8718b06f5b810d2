"""Packages' plug-ins that fail: named, and left out alone."""

import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from made_archives import build, make_scores, write_study
from other_packages import ROOT, STUDY, run, told

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.archive.verify import verify
from reportgen.errors import InputError
from reportgen.importers.report_pdf import reading
from reportgen.pipeline import build as pipeline

pytestmark = pytest.mark.slow


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
