"""Sections, detectors and methods of other packages, installed as users install them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_archives import make_scores, write_study
from other_packages import ROOT, STUDY, run, told

from reportgen.archive.verify import verify

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "docs" / "examples" / "reportgen-extras"


@pytest.fixture(scope="session")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example, installed from its folder by pip without a network."""
    place = tmp_path_factory.mktemp("extras")
    source = shutil.copytree(EXAMPLE, place / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", place / "site", source], check=True)
    return place / "site"


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
