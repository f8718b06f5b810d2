"""What people who carry on expect: issue forms and hooks that parse, a changelog made of fragments."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.stem)
def test_issue_forms_hold_what_their_host_asks_for(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in fields}) == len(fields)
    for part in form["body"]:
        assert part["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        assert part["attributes"].get("label") or part["attributes"].get("value")


def test_hooks_run_the_environments_own_tools() -> None:
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    pinned = (ROOT / "constraints.txt").read_text()
    for hook in repository["hooks"]:
        python, flag, module, *_ = hook["entry"].split()
        assert (python, flag, hook["language"]) == ("python", "-m", "system")
        assert re.search(rf"^{module}==", pinned, flags=re.MULTILINE)


CHANGELOG = """# Changelog

## [Unreleased]

### Added
- One thing.

### Not yet
- Another.

## [0.1.0] - 2026-01-01

### Added
- All.
"""


def test_fragments_become_the_changelog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import collect_changelog as changelog

    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "changelog.d" / "README.md").write_text("stays\n")
    (tmp_path / "changelog.d" / "maps.added.md").write_text("Maps\nin colour.\n")
    (tmp_path / "changelog.d" / "ties.fixed.md").write_text("Ties.\n")
    monkeypatch.setattr(changelog, "ROOT", tmp_path)
    changelog.main("0.2.0")
    text = re.sub(r"\] - 20\d\d-\d\d-\d\d", "] - DATE", (tmp_path / "CHANGELOG.md").read_text())
    assert text == CHANGELOG.replace("## [0.1.0] - 2026-01-01", "## [0.1.0] - DATE").replace(
        "## [Unreleased]\n\n### Added\n- One thing.\n\n### Not yet",
        "## [Unreleased]\n\n## [0.2.0] - DATE\n\n### Added\n- One thing.\n- Maps\n  in colour.\n\n### Fixed\n- Ties.\n"
        "\n### Not yet",
    )
    assert [p.name for p in (tmp_path / "changelog.d").iterdir()] == ["README.md"]


def test_fragments_are_named_by_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import collect_changelog as changelog

    assert sum(map(len, changelog.fragments(ROOT / "changelog.d").values())) == len(
        [p for p in (ROOT / "changelog.d").iterdir() if p.name != "README.md"]
    )
    (tmp_path / "maps.md").write_text("Maps.\n")
    with pytest.raises(ValueError, match=r"maps\.md: not called <short-name>\."):
        changelog.fragments(tmp_path)


def test_make_check_leaves_out_every_marker_and_only_those() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    (left_out,) = re.findall(r'^\t\$\(PYTEST\) -m "(.*)"$', (ROOT / "Makefile").read_text(), re.M)
    assert left_out == " and ".join(f"not {marker.partition(':')[0]}" for marker in settings["markers"])


def test_the_files_that_begin_are_there() -> None:
    longest = re.search(r"^LONGEST = \((.*?)\)$", (ROOT / "tests" / "conftest.py").read_text(), re.M | re.S)
    assert longest is not None
    names = re.findall(r'"(.*?)"', longest[1])
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert names
    assert set(names) <= there
