"""Reading and writing files where something is wrong: what is said, and that nothing is left half done."""

import errno
import fcntl
import json
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from safetensors.numpy import save_file

from reportgen.core.config import Study
from reportgen.errors import InputError, MissingResourceError
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.run_directory import (
    alone,
    claim,
    clear,
    forms_of,
    intact,
    manifest_in,
    refuse_elsewhere,
    scores_hashes,
)
from reportgen.pipeline.source import open_source
from reportgen.scoring.run.run_record import read_record
from reportgen.storage.array_cache import cached
from reportgen.storage.files import sha256, write_atomic
from reportgen.storage.json_files import read_json
from reportgen.storage.manifest import MANIFEST, checked_manifest, manifest
from reportgen.storage.remote_folders import StorageFolder, is_remote
from reportgen.storage.scores_file import MOST_ATTACHED, SCORES, scored_together, stored_key, too_large

GOOD = {"schema": MANIFEST, "files": {"a.csv": {}}, "created": "2026", "reportgen": "1"}


def fails(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.csv"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(MissingResourceError, match=r"cannot write \(No space left on device\). Free space there"):
        write_atomic(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]
    assert path.read_text() == "old"


def test_an_interrupt_while_writing_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "scores.csv", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_under_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingResourceError, match=r"cannot write \(Not a directory\). Choose a writable folder"):
        write_atomic(tmp_path / "file" / "deeper" / "scores.csv", "text")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' stands twice. Keep one of them."),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "key 'b' stands twice"),
        (b'{"a": ', "this is not JSON"),
        (b"\xff\xfe\x00", "this is not JSON"),
        (b'{"a": "\\ud800"}', "this is not JSON"),
        (b"[" * 100_000, "this is not JSON"),
    ],
)
def test_broken_json_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "findings.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_json(path)
    assert told in str(error.value)
    assert str(error.value).startswith(str(path))


def test_json_may_hold_whole_characters_by_their_halves(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff{"a": "\\ud83d\\ude00"}', encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"a": "😀"}
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema": "reportgen/manifest/9"}, "a newer reportgen made it (reportgen/manifest/9; this one reads"),
        ({"schema": "other"}, "it is no manifest"),
        ({"files": []}, "its lists of files and versions are damaged"),
        ({"files": {"a": 1}}, "its lists of files and versions are damaged"),
        ({"versions": []}, "its lists of files and versions are damaged"),
        ({"files": {"../a": {}}}, "it lists '../a', which is outside the report"),
        ({"files": {"/etc/passwd": {}}}, "it lists '/etc/passwd', which is outside the report"),
        ({"files": {"a\\b": {}}}, "which is outside the report"),
        ({"files": {"": {}}}, "it lists '', which is outside the report"),
        ({"created": 3}, "its 'created' is no text"),
        ({"reportgen": None}, "its 'reportgen' is no text"),
    ],
)
def test_a_manifest_that_is_none_is_refused(changed: dict[str, Any], told: str) -> None:
    assert checked_manifest(GOOD, "manifest.json") == GOOD
    with pytest.raises(InputError) as error:
        checked_manifest({**GOOD, **changed}, "manifest.json")
    assert told in str(error.value)


def test_a_manifest_holds_every_file_that_can_be_seen(tmp_path: Path) -> None:
    for name in ("a.csv", "tables/b.tex", ".checkpoints/c", "report.pdf", "manifest.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    made = manifest(tmp_path, created="2026")
    assert list(made) == ["schema", "created", "files"]
    assert made["files"] == {n: {"sha256": sha256(n.encode()), "size": len(n)} for n in ("a.csv", "tables/b.tex")}
    assert manifest_in(tmp_path) == {}, "what is no JSON is no manifest"


def test_of_large_scores_those_that_fit_are_attached_the_first_before_all_others() -> None:
    most = MOST_ATTACHED
    assert too_large({"scores-a.safetensors": 10, SCORES: most}) == {"scores-a.safetensors": 10}
    assert too_large({SCORES: most + 1, "scores-a.safetensors": most}) == {SCORES: most + 1}


def test_a_scores_file_without_a_key_is_none_of_ours(tmp_path: Path) -> None:
    path, array = tmp_path / "s.safetensors", np.zeros((1, 2, 2), np.float32)
    save_file({"importance": array}, path, metadata={"reportgen": "{}"})
    with pytest.raises(InputError, match="it names no key"):
        stored_key(path)
    save_file({"weights": array}, path, metadata={"reportgen": "{}"})
    with pytest.raises(InputError, match="this safetensors file holds no reportgen scores"):
        stored_key(path)
    assert not (tmp_path / "other").exists()
    with pytest.raises(InputError, match="no such file"):
        scored_together(tmp_path / "other")


def test_a_broken_null_is_made_again_and_a_read_only_home_costs_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTGEN_CACHE", str(tmp_path))
    made = [np.arange(3.0), np.arange(4.0), np.arange(5.0)]
    assert len(cached("null", lambda: made[0])) == 3
    assert len(cached("null", lambda: made[1])) == 3, "it is kept"
    np.save(tmp_path / "null.npy", made[2])  # whole, but not what was kept
    assert len(cached("null", lambda: made[1])) == 4
    (tmp_path / "null.npy").write_bytes(b"")
    assert len(cached("null", lambda: made[2])) == 5
    monkeypatch.setattr("tempfile.mkstemp", fails)
    assert len(cached("another", lambda: made[0])) == 3


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="this is no folder name"):
        claim(tmp_path / ("x" * 300), "key", False)
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="this is a file, not a folder"):
            claim(path, "key", False)
    with pytest.raises(InputError, match="this is a file, not a folder"):
        refuse_elsewhere(tmp_path, "file")
    (tmp_path / "out").symlink_to(tmp_path.parent)
    with pytest.raises(InputError, match="a link leads out of the report's folder"):
        refuse_elsewhere(tmp_path, "out")


def test_clearing_keeps_scores_and_findings_and_what_lies_elsewhere(tmp_path: Path) -> None:
    folder, names = tmp_path / "out", ("scores.safetensors", "findings.json", "report.html", "manifest.json")
    folder.mkdir()
    for path in (*(folder / name for name in names), tmp_path / "mine.txt"):
        path.write_text("")
    clear(folder, {"files": {name: {} for name in (*names, "../mine.txt")}})
    assert {p.name for p in folder.iterdir()} == {"scores.safetensors", "findings.json"}
    assert (tmp_path / "mine.txt").exists()


def test_a_report_is_intact_with_all_its_files_and_the_pdf_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_text("a")
    manifest = {"files": {"figures/a.png": {"sha256": sha256(b"a")}}}
    study = Study.model_validate({"scores": {"path": "s.csv"}, "report": {"formats": ["html"]}})
    assert intact(tmp_path, manifest, study)
    assert not intact(tmp_path, {"files": {"figures/a.png": {"sha256": sha256(b"b")}}}, study)
    assert not intact(tmp_path, {"files": {**manifest["files"], "b": {}}}, study)
    assert not intact(tmp_path, manifest, Study.model_validate({"scores": {"path": "s.csv"}}))
    assert forms_of(manifest) == ["png"]
    assert forms_of({}) == ["svg"]


def test_without_locks_a_folder_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", fails)
    with alone(tmp_path):
        (tmp_path / "a").write_text("")
    assert (tmp_path / "a").exists()


def test_a_place_is_a_folder_an_address_or_refused(tmp_path: Path) -> None:
    local = StorageFolder(f"file://{tmp_path}/units")
    assert (local.names(), local.read("a")) == (set(), None)
    local.write("a", "text")
    assert (tmp_path / "units" / "a").read_text() == "text"
    assert is_remote("memory://x")
    assert not is_remote(tmp_path)
    far = StorageFolder("memory://files/run")
    assert (far.names(), far.tree(), far.read("a")) == (set(), [], None)
    far.write("deep/a", b"text")
    assert (far.tree(), far.read("deep/a")) == (["deep/a"], b"text")
    far.remove("deep/a")
    far.remove("deep/a")
    assert far.tree() == []


def test_a_network_that_fails_is_told_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    far = StorageFolder("memory://files/run")
    for name in ("ls", "find", "cat_file", "pipe_file", "rm", "makedirs"):
        monkeypatch.setattr(far.fs, name, fails)
    for use in (far.names, far.tree, far.remove, lambda: far.read("a"), lambda: far.write("a", "text")):
        with pytest.raises(MissingResourceError, match=r"memory://files/run: cannot be used .*No space left"):
            use()


@pytest.mark.parametrize("record", ["no JSON", "[]", json.dumps({"schema": "of another version"})])
def test_an_unfinished_run_of_another_version_is_not_gone_on_with(tmp_path: Path, record: str) -> None:
    assert read_record(StorageFolder(tmp_path)) is None
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(InputError, match="was started by another version of reportgen"):
        read_record(StorageFolder(tmp_path))
    (tmp_path / "run.json").unlink()
    (tmp_path / "zero_ablation-1.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="was started by another version of reportgen"):
        read_record(StorageFolder(tmp_path))


def test_a_rendering_cut_short_before_its_pdf_does_not_pass_the_old_pdf_off_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{task},{i},{j},{1 + i + j / 9}" for task in "ab" for i in range(3) for j in range(3)]
    (tmp_path / "scores.csv").write_text("\n".join(["task,layer,head,importance", *rows]))

    def made(title: str) -> str:
        folder = pipeline.build(tmp_path / "scores.csv", tmp_path / "out", overrides={"study.title": title}).folder
        with pikepdf.open(folder / "report.pdf") as document:
            return str(document.docinfo.Title)

    def cut_short(*_: Any) -> bytes:
        raise KeyboardInterrupt

    assert made("Old") == "Old"
    with monkeypatch.context() as patch:
        patch.setattr("reportgen.rendering.pdf.process.pdf", cut_short)
        with pytest.raises(KeyboardInterrupt):
            made("New")
    assert not (tmp_path / "out" / "report.pdf").exists()
    assert made("New") == "New"


def test_a_report_that_was_killed_before_its_crate_gets_it(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("task,layer,head,importance\na,0,0,1\na,0,1,2\n")
    crate = pipeline.build(tmp_path / "scores.csv", tmp_path / "out").folder / "ro-crate-metadata.json"
    before = crate.read_bytes()
    crate.unlink()
    pipeline.build(tmp_path / "scores.csv", tmp_path / "out")
    assert crate.read_bytes() == before


def test_scores_files_are_taken_in_the_order_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["scores.safetensors", "scores-a.safetensors", "scores-b.safetensors"]
    for listed in (names, names[::-1]):  # as file systems may have them
        for name in names:
            (tmp_path / name).write_text(name)
        monkeypatch.setattr(Path, "glob", lambda folder, _, listed=listed: iter([folder / name for name in listed]))
        assert list(scores_hashes(tmp_path)) == names


def test_a_scores_file_whose_name_is_no_utf8_gets_a_study_that_is_toml(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"sc\xffores.csv")
    path.write_text("task,layer,head,importance\na,0,0,1\na,0,1,2\n")
    assert tomllib.loads(open_source(path, {}).study.source)["scores"] == {"path": "sc?ores.csv"}
