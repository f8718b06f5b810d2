"""Templates are compiled once for all reports; neither a change nor a cache that cannot be written goes unnoticed."""

from pathlib import Path

import jinja2
import pytest

from reportgen.core import sentences as prose
from reportgen.rendering.html import page as html


def _refuse(*_: object, **__: object) -> str:
    raise AssertionError("compiled again")


def test_a_second_report_compiles_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path))
    sentences = prose.environment.__wrapped__
    kinds = [html.environment, lambda folders: sentences(folders[0] / "observations", kind="sentence")]
    for make in kinds:
        first = make(html.folders_of())
        # sentences of findings and claims are filled with words of their own
        names = [n for n in first.list_templates(extensions=["j2"]) if not n.startswith(("observations", "summary"))]
        assert names
        for name in names:
            first.get_template(name)
        with monkeypatch.context() as patch:
            patch.setattr(jinja2.Environment, "_generate", _refuse)
            second = make(html.folders_of())
            assert all(second.get_template(name) for name in names)


def test_a_changed_template_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path / "cache"))
    for text in ("one", "two"):
        (tmp_path / "a.j2").write_text(text)
        assert html.environment([tmp_path]).get_template("a.j2").render() == text


def test_without_a_cache_folder_templates_are_filled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "a.j2").write_text("{{ 1 + 1 }}")
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path / "file"))
    assert html.environment([tmp_path]).get_template("a.j2").render() == "2"
