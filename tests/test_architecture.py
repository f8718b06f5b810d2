"""The house rules that a walk over the source can check."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from reportgen.core.plugins import FOLDERS, SHARED, Record, Registry, _own

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reportgen"
# From the top down: a module imports from its own folder or from one further down; of folders side by side neither
# imports the other. A folder that is missing here fails.
ORDER = (
    ("__main__",),
    ("cli",),
    ("archive",),
    ("pipeline",),
    ("summary", "rendering"),
    ("validation",),
    ("scoring", "analysis"),
    ("importers",),
    ("storage",),
    ("core",),
    ("errors", "__init__"),
)
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
    return next(i for i, folders in enumerate(ORDER) if name in folders)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return  # the public names, imported lazily from wherever they live
    for name in imported(path):
        parts = name.split(".")
        known = len(parts) > 1 and ((PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists())
        if parts[0] == "reportgen" and known and parts[1] != here:
            assert rank(parts[1]) > rank(here), f"{here} imports {name}"
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_module_of_a_folder_of_plug_ins_holds_its_record(folder: str) -> None:
    place = FOLDERS[folder]
    package = PACKAGE.parent / place.package.replace(".", "/")
    files = {p.stem: p for p in package.glob("*.py") if p.stem not in ("__init__", SHARED)}
    records = Registry(folder, Record).own()
    assert len({record.name for record in records}) == len({record.order for record in records}) == len(files)
    for name, path in files.items():
        record = getattr(import_module(f"{place.package}.{name}"), place.attribute)
        assert record in records
        assert f'"{record.name}"' in path.read_text()


def test_a_module_without_a_record_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reportgen.summary import topics

    (tmp_path / "empty.py").write_text("")
    monkeypatch.setattr(topics, "__path__", [str(tmp_path)])
    _own.cache_clear()
    with pytest.raises(ImportError, match=r"reportgen\.summary\.topics\.empty holds no TOPIC, which every module of"):
        Registry("topics", Record).own()
    _own.cache_clear()


def test_help_is_instant() -> None:
    code = (
        "import sys; from reportgen.cli import main as cli\n"
        "try: cli.app(['--help'], standalone_mode=False)\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'matplotlib', 'weasyprint', 'pandas'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip().splitlines()[-1] == "[]"
    assert "build" in run.stdout


def test_ci_runs_the_readmes_second_command() -> None:
    commands = [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("    make ")]
    assert commands[:2] == ["make report", "make test"]


def test_the_observation_templates_match_the_detectors() -> None:
    from reportgen.core.kinds import KINDS

    templates = {p.stem for p in (ROOT / "templates" / "observations").glob("[!_]*.j2")}
    assert templates == {kind.name for kind in KINDS.own()}


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by their bare names: of two of one name, it refuses the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_the_package_imports_where_there_is_no_fcntl() -> None:
    """As on Windows, which has neither that module nor ``resource``."""
    code = (
        "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None\n"
        "from reportgen.pipeline import stages\n"
        "from reportgen.archive import verify\n"
        "from reportgen.cli import main\n"
        "from reportgen.storage import locks, remote_folders\n"
        "from reportgen.scoring import score\n"
        "from reportgen.validation import validate\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
