"""One file is enough: a dummy of each folder of plug-ins, as a file of the package and as another package's, is seen
wherever its folder's plug-ins are; and no file but its own names a kind.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from reportgen.core.findings import Finding
from reportgen.core.kinds import KINDS, caveats, kind_of
from reportgen.core.plugins import FOLDERS, SHARED
from reportgen.core.sentences import Prose
from reportgen.core.topics import TOPICS

ROOT = Path(__file__).parents[1]
PACKAGE, TEMPLATES = ROOT / "reportgen", ROOT / "templates"
# file, literal: what else bears the name of a kind
NAMESAKES = {
    ("reportgen/analysis/detectors/competence.py", "reliability"): "the section that both are printed in",
    ("reportgen/rendering/plots/curves.py", "concentration"): "a figure's file",
    ("reportgen/archive/compare/model.py", "depth"): "a number that compares models of unlike heads",
    ("reportgen/archive/compare/page.py", "depth"): "the table of it",
}
# file, literal: where the name of a method stands outside its file
NAMED_METHODS = {
    ("reportgen/core/config.py", "gate_gradient"): "the method of a study that names none",
    ("reportgen/core/trials.py", "probe"): "a readout of validation.json's format",
    ("reportgen/validation/readout.py", "probe"): "the same",
    ("reportgen/validation/curves.py", "activation_norm"): "an order of validation.json's format, whatever was scored",
    ("reportgen/importers/common/tables.py", "probe"): "what some tables call the column of examples",
    ("reportgen/scoring/methods/common/probe_baselines.py", "probe"): "what that method alone compares itself with",
}
DUMMIES = {
    "methods": """
from dataclasses import replace
from reportgen.scoring.methods.activation_norm import METHOD as NORM
METHOD = replace(NORM, name="dummy_method", order=155, summary="a dummy's summary", formula="a dummy's formula")
""",
    "suites": """
from reportgen.core.suites import Suite
SUITE = Suite("dummy_suite", "a dummy's rows", lambda seed: [{"task": "Dummy", "prompt": "1", "answer": "2"}], order=5)
""",
    "detectors": """
from reportgen.analysis.view import Detector, Outcome
from reportgen.core.caveats import Caveat
from reportgen.core.findings import Effect
from reportgen.core.kinds import Guidance

LIMIT = Caveat("dummy-limit", "A dummy's limit.")


def detect(view, earlier):
    return Outcome("dummy_kind", [
        view.finding("dummy_kind", t, "observed", 0.99, rule="a dummy's rule", layers=(1, 1), heads=(2, 2),
                     members=["L1H2"], effect=Effect("dummy's effect", 0.25), caveats=[LIMIT.code])
        for t in range(len(view.scores.tasks))
    ])


DETECTOR = Detector(
    "dummy_kind", detect, order=205, doc="A dummy's documentation.", label="dummy's label", topic="dummy_topic",
    caveats=(LIMIT,), priority={"observed": 0.99}, shown="framed", references=("A dummy's reference.",),
    guidance=Guidance("A dummy's guidance", "What a dummy can show."), recompute=lambda finding: ["print(0.25)"],
)
""",
    "topics": """
from reportgen.core.topics import Topic
TOPIC = Topic("dummy_topic", "A dummy's title", "what a dummy is about", order=25)
""",
    "sections": """
from reportgen.rendering.sections.common import Section
VALUES = {"words": "A dummy's words", "share": 0.25}
SECTION = Section("dummy_section", "A dummy's heading", lambda report: VALUES, order=25)
""",
    "importers": """
from reportgen.core.scores import HeadScores
from reportgen.importers.common import Importer
IMPORTER = Importer(
    "dummy_importer", "a dummy's format", lambda path: path.suffix == ".dummy",
    lambda path, section: HeadScores.from_array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], ["Dummy"]), order=105,
)
""",
}
# folder: the test file of each of its modules; suites hold records alone
TESTS = {
    "methods": "scoring/methods/test_{}.py",
    "detectors": "analysis/detectors/test_{}.py",
    "sections": "rendering/sections/test_{}_section.py",  # several are called as a detector or a method's test is
    "importers": "importers/test_{}.py",
    "topics": "summary/topics/test_{}_topic.py",
}
NAMES = {"detectors": "dummy_kind"}  # of the others: dummy_ and what their folder holds
STUDY = f"""[model]
path = "{ROOT}/sample_data/model"
[tasks]
path = "{ROOT}/sample_data/tasks.jsonl"
limit = 12
[scoring]
method = "dummy_method"
[validation]
enabled = false
[report]
formats = ["html"]
"""


def name_of(folder: str) -> str:
    return NAMES.get(folder, f"dummy_{folder.removesuffix('s')}")


def as_files(site: Path) -> None:
    """A copy of the package with a file more in each folder."""
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, site / "reportgen", ignore=hidden)
    shutil.copytree(TEMPLATES, site / "reportgen" / "templates")
    for folder, code in DUMMIES.items():
        (site / FOLDERS[folder].package.replace(".", "/") / f"{name_of(folder)}.py").write_text(code)


def as_a_package(site: Path) -> None:
    """The same files in a package of their own, which names them by entry points."""
    (site / "dummies-1.0.dist-info").mkdir(parents=True)
    (site / "dummies").mkdir()
    entries = []
    for folder, code in DUMMIES.items():
        (site / "dummies" / f"{name_of(folder)}.py").write_text(code)
        target = f"dummies.{name_of(folder)}:{FOLDERS[folder].attribute}"
        entries.append(f"[reportgen.{folder}]\n{name_of(folder)} = {target}\n")
    (site / "dummies-1.0.dist-info" / "entry_points.txt").write_text("\n".join(entries))
    (site / "dummies-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: dummies\nVersion: 1.0\n")


@pytest.fixture(scope="module", params=[as_files, as_a_package])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param.__name__)
    request.param(folder)
    return folder


def run(site: Path, *arguments: object) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=site, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_dummy_of_each_folder_is_seen_everywhere(site: Path) -> None:
    reportgen = ("-m", "reportgen")
    (site / "study.toml").write_text(STUDY)
    run(site, *reportgen, "build", site, "-o", site / "out", "--quiet")
    found = json.loads((site / "out" / "findings.json").read_text())["findings"]
    sentences = [f["sentence"] for f in found if f["kind"] == "dummy_kind"]
    assert sentences[0] == "Knowledge Recall: dummy's label, L1H2; dummy's effect 0.250."
    page = unescape((site / "out" / "report.html").read_text())
    for seen in (sentences[0], "a dummy's formula", "a dummy's rule", "A dummy's limit.", "What a dummy can show."):
        assert seen in page, seen
    assert "A dummy's reference." in page
    assert "A dummy's heading</h2>" in page
    assert "<h3>Share</h3>" in page, "a section without a template prints its values under their names"
    assert page.index('id="key-observations"') < page.index("A dummy's words") < page.index('id="overview"')
    assert "L1H2" in (site / "out" / "figures" / "overview.svg").read_text()
    assert "dummy's label" in page
    explained = run(site, *reportgen, "explain", site / "out", "dummy_kind/knowledge-recall/1")
    for seen in ("A dummy's documentation.", "caveat: A dummy's limit.", "print(0.25)  # effect"):
        assert seen in explained, seen

    methods = run(site, *reportgen, "methods").splitlines()
    assert "dummy_method: a dummy's summary" in methods
    detectors = [line.partition(":")[0] for line in run(site, *reportgen, "detectors").splitlines()]
    assert detectors[-2:] == ["dummy_kind", "absence"]
    topics = [line.partition(":")[0] for line in run(site, *reportgen, "topics").splitlines()]
    assert topics.index("dummy_topic") == 2
    shown = run(site, *reportgen, "tasks", "show", "dummy_suite")
    assert shown.startswith("summary: a dummy's rows\n")
    assert '"task": "Dummy"' in shown
    (site / "scores.dummy").write_text("")
    run(site, *reportgen, "analyze", site / "scores.dummy", "-o", site / "read", "--quiet")
    assert "Dummy,2,1,6" in (site / "read" / "scores.csv").read_text()


def test_a_kind_that_is_not_known_here_still_has_words() -> None:
    finding = Finding("left_out/all/1", "left_out", "m", "observed", 0.5, rule="r", tasks=["a", "b"], layers=(2, 4))
    assert kind_of("left_out").label == kind_of("left_out").noun == "left out"
    assert Prose().sentence(finding) == "a and b: left out, layers 2–4."


def test_every_kind_says_its_topic_and_its_priorities() -> None:
    topics = {topic.name for topic in TOPICS.own()}
    for kind in KINDS.own():
        assert kind.topic in topics, kind.name
        assert kind.priority, kind.name
        assert all(0 < least < 1 for least in kind.priority.values()), kind.name
    assert len(caveats()) == len(set(caveats().values()))


@pytest.mark.parametrize("folder", TESTS)
def test_every_plug_in_has_a_test_file_named_after_it(folder: str) -> None:
    modules = (PACKAGE.parent / FOLDERS[folder].package.replace(".", "/")).glob("*.py")
    names = {path.stem for path in modules} - {"__init__", SHARED}
    assert [name for name in sorted(names) if not (ROOT / "tests" / TESTS[folder].format(name)).is_file()] == []
    if folder != "importers":  # whose folder tests more than single importers
        there = {path.name for path in (ROOT / "tests" / TESTS[folder]).parent.glob("test_*.py")}
        assert there == {Path(TESTS[folder].format(name)).name for name in names}


def literals(path: Path) -> Iterator[str]:
    text = path.read_text()
    if path.suffix == ".py":
        yield from (str(node.value) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    else:
        yield from re.findall(r"[\"']([^\"'\n]*)[\"']", text)


def naming(names: set[str]) -> set[tuple[str, str]]:
    """The files that hold one of the names as a literal, but for topics and the file of that name."""
    paths = (
        p for p in (*PACKAGE.rglob("*.py"), *TEMPLATES.rglob("*.j2")) if p.parent != PACKAGE / "summary" / "topics"
    )
    return {
        (p.relative_to(ROOT).as_posix(), name) for p in paths for name in names.intersection(literals(p)) - {p.stem}
    }


def test_no_file_but_its_own_names_a_kind() -> None:
    assert naming({kind.name for kind in KINDS.own()}) == set(NAMESAKES)


def test_no_file_but_its_own_names_a_method() -> None:
    methods = {path.stem for path in (PACKAGE / "scoring" / "methods").glob("*.py")} - {"__init__"}
    assert len(methods) > 10
    assert naming(methods) == set(NAMED_METHODS)
