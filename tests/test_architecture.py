"""The house rules that a walk over the source can check."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reportgen"
# From the top down: a module may import from rooms of its own rank or below, a stage never from another stage.
RANKS = [
    {"cli", "__main__"},
    {"progress", "told", "given"},
    {"pipeline", "explain", "archive", "keys", "folders", "opening"},
    {"validation"},
    {"scoring", "analysis", "rendering"},
    {"importers"},
    {"staging"},
    {"study_file"},
    {"places", "anonymous"},
    {"store", "prose", "provenance", "by_hand"},
    {"stats", "trials", "attended", "study"},
    {"findings"},
    {"blocks"},
    {"scores"},
    {"plugins", "venues"},
    {"confined", "sandbox", "unpacked", "jsonfile", "lean", "cache"},
    {"errors", "__init__"},
]
STAGES = {"scoring", "analysis", "rendering"}
HEAVY = {
    "torch": {"scoring", "validation", "importers"},
    "transformers": {"scoring", "validation"},
    "matplotlib": {"rendering"},
    "weasyprint": {"rendering"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rank(name: str) -> int:
    return next(i for i, rooms in enumerate(RANKS) if name in rooms)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return  # the public names, imported lazily from wherever they live
    for name in imported(path):
        parts = name.split(".")
        known = len(parts) > 1 and ((PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists())
        if parts[0] == "reportgen" and known:
            assert rank(parts[1]) >= rank(here), f"{here} imports {name}"
            assert not (here in STAGES and parts[1] in STAGES - {here}), f"stage {here} imports {name}"
            assert not (here == "validation" and parts[1] in STAGES - {"scoring"}), f"validation imports {name}"
        assert here in HEAVY.get(parts[0], {here}), f"{here} imports {name}"


def test_no_import_loops() -> None:
    dotted = {p: ".".join(["reportgen", *p.relative_to(PACKAGE).with_suffix("").parts]) for p in modules()}
    names = {name.removesuffix(".__init__"): path for path, name in dotted.items()}
    graph = {n: {i for i in imported(p) if i in names and i != n} for n, p in names.items() if n != "reportgen"}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path, name])
        if name not in done:
            for other in graph.get(name, ()):
                # A package's own modules are imported by it; they reach back only through its submodules.
                if not name.startswith(f"{other}."):
                    visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("folder", "tuple_name", "record"),
    [
        ("analysis/detectors", "DETECTORS", "DETECTOR"),
        ("importers", "IMPORTERS", "IMPORTER"),
        ("scoring/methods", "METHODS", "METHOD"),
        ("rendering/sections", "SECTIONS", "SECTION"),
    ],
)
def test_every_plug_in_is_registered(folder: str, tuple_name: str, record: str) -> None:
    package = "reportgen." + folder.replace("/", ".")
    registered = getattr(import_module(package), tuple_name)
    for path in sorted((PACKAGE / folder).glob("*.py")):
        if path.stem in ("__init__", "record"):
            continue
        assert any(getattr(import_module(f"{package}.{path.stem}"), record) is r for r in registered), path.name


def test_help_is_instant() -> None:
    code = (
        "import sys; from reportgen import cli\n"
        "try: cli.app(['--help'], standalone_mode=False)\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'matplotlib', 'weasyprint', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip().splitlines()[-1] == "[]"
    assert "build" in run.stdout


def test_files_are_rooms_not_halls() -> None:
    for path in modules():
        assert len(path.read_text().splitlines()) <= 400, path


def test_ci_runs_the_readmes_second_command() -> None:
    commands = [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("    make ")]
    assert commands[:2] == ["make report", "make test"]


def test_the_observation_templates_match_the_detectors() -> None:
    from reportgen.analysis.detectors import DETECTORS

    templates = {p.stem for p in (ROOT / "templates" / "observations").glob("[!_]*.j2")}
    assert templates == {d.kind for d in DETECTORS} | {"causal_validation"}


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by their bare names: of two of one name, it refuses the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
