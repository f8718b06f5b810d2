"""What `verify` says of reports that are whole, and of reports in which something was changed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import commands
import numpy as np
import pikepdf
import pytest

from reportgen.archive.values import unlike
from reportgen.archive.verify import Verification, lines, verify
from reportgen.core.provenance import made_with
from reportgen.errors import InputError
from reportgen.pipeline.build import remake
from reportgen.pipeline.cache_keys import report_key
from reportgen.pipeline.run_directory import forms_of, found_hash
from reportgen.pipeline.source import open_study
from reportgen.rendering.html.embedded_data import packed
from reportgen.storage.crate import CRATE, crate_json
from reportgen.storage.files import sha256_file
from reportgen.storage.json_files import pretty_json

ROOTS = (
    "the scores themselves: they come from a model, or from a file made elsewhere, that the report does not hold",
    "study.toml: title, authors, notes and settings",
    "manifest.json: date, command, settings given with it, and the versions it names",
)
AGAIN = "other bytes come of the same scores and study"


def wrong(found: Verification) -> dict[str, str]:
    return {check.what: check.wrong for check in found.differences}


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one digit changed."""
    return data[:at] + str((int(data[at : at + 1]) + 1) % 10).encode() + data[at + 1 :]


@pytest.fixture
def copy(paged: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(paged, tmp_path / "copy"))


def consistent(folder: Path, name: str, old: str, new: str) -> None:
    """An edit by someone who knows the manifest and the crate, and mends both."""
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    (folder / "manifest.json").write_text(pretty_json(manifest))
    (folder / CRATE).write_text(crate_json(folder))


def test_a_report_holds_from_its_folder_and_from_its_pdf_alone(whole: Path, tmp_path: Path) -> None:
    alone = tmp_path / "renamed.pdf"
    shutil.copy(whole / "report.pdf", alone)
    for path in (whole, alone):
        found = verify(path)
        assert wrong(found) == {}
        assert (found.result, found.unchecked, found.trusted) == ("verified", (), ROOTS)
        what = {check.what for check in found.checks}
        findings = json.loads((whole / "findings.json").read_text())["findings"]
        assert {f"finding {f['id']}" for f in findings} <= what
        made = {"report.pdf", "report.pdf, made again", "report.html, made again", "figures/overview.svg, made again"}
        assert made <= what
    assert any(f["kind"] == "cluster" for f in findings)
    assert lines(found)[-1] == f"verified: {len(found.checks)} of {len(found.checks)} checks hold"


def test_one_changed_digit_anywhere_is_caught(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    rng, tried = np.random.default_rng(0), 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        digits = [m.start() for m in re.finditer(rb"\d", data)]
        for at in rng.choice(digits, 6 if path.name in ("report.pdf", "manifest.json") else 1, replace=False):
            path.write_bytes(flipped(data, at))
            try:
                caught = bool(verify(folder, quick=True).differences)
            except InputError:
                caught = path.name == "manifest.json"  # such as a number that begins with 0: the whole file is refused
            assert caught, f"{path.relative_to(folder)}, byte {at}"
            tried += 1
        path.write_bytes(data)
    assert tried > 30
    assert not verify(folder, quick=True).differences


def test_one_changed_byte_of_the_pdf_alone_is_caught(whole: Path, tmp_path: Path) -> None:
    data, path = (whole / "report.pdf").read_bytes(), tmp_path / "report.pdf"
    places = np.random.default_rng(1).choice(len(data), 25, replace=False)
    for at in places:
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            caught = "report.pdf" in wrong(verify(path, quick=True))
        except InputError as error:  # such as an attachment's stream that no longer unpacks
            caught = str(path) in str(error)
        assert caught, at


def test_a_consistent_edit_of_a_finding_is_caught(copy: Path) -> None:
    findings = json.loads((copy / "findings.json").read_text())
    at, cluster = next((i, f) for i, f in enumerate(findings["findings"]) if f["kind"] == "cluster")
    was = cluster["value"]["estimate"]
    consistent(copy, "findings.json", f'"estimate": {was}', f'"estimate": {was + 1}')
    rekeyed(copy)
    assert wrong(verify(copy)) == {
        f"finding {cluster['id']}": f"value.estimate is {was + 1}, computed again {was}",
        "findings.json, made again": f"{AGAIN}: findings[{at}].value.estimate is {was + 1}, computed again {was}",
    }


def test_a_consistent_edit_of_a_sentence_of_a_table_and_of_the_page_is_caught(copy: Path) -> None:
    told = next(f for f in json.loads((copy / "findings.json").read_text())["findings"] if f["kind"] == "cluster")
    sentence = told["sentence"]
    number = re.search(r"\d+", sentence)
    assert number is not None
    lie = sentence.replace(number[0], str(int(number[0]) + 1), 1)
    page = (copy / "report.html").read_text()
    consistent(copy, "report.html", page, page.replace(sentence, lie))
    row = (copy / "tables" / "heads.csv").read_text().splitlines()[1]
    consistent(copy, "tables/heads.csv", row, row.replace(row.split(",")[3], "0.5"))
    found = wrong(verify(copy))
    assert found[f"report.html, sentence of {told['id']}"] == f"the sentence is not there: {sentence}"
    assert found["report.html, made again"].startswith(AGAIN)
    was = row.split(",")[3]
    assert found["tables/heads.csv, made again"] == f"{AGAIN}: '0.5' stands where {was!r} is made again"


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        (
            "tables/heads.csv",
            {"tables/heads.csv": "it is missing", CRATE: "it does not describe the files that are here"},
        ),
        (CRATE, {CRATE: "it is missing"}),
    ],
)
def test_a_missing_file_is_named(copy: Path, name: str, differs: dict[str, str]) -> None:
    (copy / name).unlink()
    assert wrong(verify(copy)) == differs


def test_what_is_no_part_of_the_report_is_named_and_not_vouched_for(copy: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    found = verify(copy, quick=True)
    assert found.result == "not fully verified"
    assert found.unchecked == (
        "notes.txt: it is no part of the report",
        "findings, sentences and pages: only hashes were asked for",
    )
    (copy / "notes.txt").rename(copy / ".notes.txt")
    assert verify(copy).result == "verified"


def test_damaged_files_are_differences_not_faults(copy: Path) -> None:
    (copy / "findings.json").write_text("[]")
    found = wrong(verify(copy))
    assert found["findings.json"] == "its bytes are not those that the manifest records"
    assert found["made again"].startswith("a file is damaged (")
    (copy / "scores.safetensors").write_bytes(b"none")
    assert "this is not a readable safetensors file" in wrong(verify(copy))["made again"]


def rekeyed(folder: Path) -> None:
    """The manifest and crate of a folder whose findings were made with other last digits."""
    manifest = json.loads((folder / "manifest.json").read_text())
    with made_with(manifest["versions"]):
        key = report_key(open_study(folder).study, found_hash(folder), forms_of(manifest))
    manifest["keys"]["report"] = key
    (folder / "manifest.json").write_text(pretty_json(manifest))
    (folder / CRATE).write_text(crate_json(folder))


def claims(folder: Path, **versions: str) -> None:
    """The report made again as if these versions had made it, then held against the versions that are here."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["versions"] |= versions
    (folder / "manifest.json").write_text(pretty_json(manifest))
    with made_with(manifest["versions"]):
        remake(folder, folder.parent / "claiming")
    shutil.rmtree(folder)
    (folder.parent / "claiming").rename(folder)


def test_other_versions_are_compared_to_the_promised_digits(copy: Path) -> None:
    claims(copy, numpy="1.0.0", rocrate="0.1")
    found = verify(copy)
    assert (found.result, found.unchecked) == ("verified", ())
    findings = json.loads((copy / "findings.json").read_text())
    at, cluster = next((i, f) for i, f in enumerate(findings["findings"]) if f["kind"] == "cluster")
    was = cluster["value"]["estimate"]
    consistent(copy, "findings.json", f'"estimate": {was}', f'"estimate": {was * (1 + 1e-6)}')
    assert wrong(verify(copy))["manifest.json, made again"].startswith("keys.report is ")
    rekeyed(copy)
    assert wrong(verify(copy)) == {}
    consistent(copy, "findings.json", f'"estimate": {was * (1 + 1e-6)}', f'"estimate": {was * 1.001}')
    told = f"value.estimate is {was * 1.001}, computed again {was}"
    rekeyed(copy)
    assert wrong(verify(copy)) == {
        f"finding {cluster['id']}": told,
        "findings.json, made again": f"{AGAIN}: findings[{at}].{told}",
    }


@pytest.fixture
def edited(whole: Path, tmp_path: Path):
    """A way to save the report's PDF after an edit."""

    def save(edit) -> Path:
        path = tmp_path / "edited.pdf"
        with pikepdf.open(whole / "report.pdf") as document:
            edit(document)
            document.save(path)
        return path

    return save


def test_an_edited_attachment_is_caught_and_not_built_from(edited, tmp_path: Path) -> None:
    def edit(document: pikepdf.Pdf) -> None:
        data = document.attachments["findings.json"].get_file().read_bytes()
        at = data.index(b'"q": ') + len(b'"q": ')
        del document.attachments["findings.json"]
        document.attachments["findings.json"] = flipped(data, at)

    path = edited(edit)
    found = wrong(verify(path))
    assert found["report.pdf"] == "its bytes are not those that it was sealed with"
    assert found["findings.json"] == "its bytes are not those that the manifest records"
    assert any(what.startswith("finding ") and text.startswith("test.q is ") for what, text in found.items())

    from reportgen import build

    with pytest.raises(InputError) as error:
        build(path, tmp_path / "out")
    assert str(error.value) == (
        f"{path}: its attachment findings.json is not the one that its manifest records. Ask for the file as it was "
        f"first written, or build from the scores; `reportgen verify {path}` lists every difference."
    )
    assert not (tmp_path / "out").exists()


def test_stripped_attachments_are_named(edited) -> None:
    path = edited(lambda document: document.attachments.__delitem__("scores.safetensors"))
    with pytest.raises(InputError) as error:
        verify(path)
    assert str(error.value) == (
        f"{path}: it does not carry scores.safetensors: its attachments were stripped. Ask for the file "
        "as it was first written, or build from the scores."
    )


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pdf"
    with pikepdf.new() as document:
        document.add_blank_page()
        document.save(path)
    with pytest.raises(InputError) as error:
        verify(path)
    assert str(error.value) == f"{path}: reportgen did not write this PDF. Give the report.pdf of a report."
    path.write_bytes(b"%PDF-1.7\nnothing")
    with pytest.raises(InputError, match="this PDF cannot be read"):
        verify(path)
    with pytest.raises(InputError) as error:
        verify(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: this folder holds no report (no manifest.json). Give a report's folder or PDF."
    )
    with pytest.raises(InputError, match=r"none\.pdf: no such file"):
        verify(tmp_path / "none.pdf")


@pytest.mark.slow
def test_the_command_tells_by_its_exit_code(copy: Path) -> None:
    def run(path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        return commands.run("verify", path, "--quiet", *options)

    held = run(copy)
    assert (held.returncode, held.stderr) == (0, "")
    assert held.stdout.splitlines()[-1].startswith("verified: ")
    quick = run(copy, "--quick", "--json")
    told = json.loads(quick.stdout)
    assert (quick.returncode, told["result"], told["holds"]) == (4, "not fully verified", True)
    assert told["not_checked"] == ["findings, sentences and pages: only hashes were asked for"]
    assert told["taken_on_trust"] == list(ROOTS)
    (copy / "cite.txt").write_text("someone else")
    differs = run(copy, "--quick", "--json")
    assert (differs.returncode, json.loads(differs.stdout)["result"]) == (1, "differs")
    assert json.loads(differs.stdout)["differences"][0] == {
        "what": "cite.txt",
        "wrong": "its bytes are not those that the manifest records",
    }
    assert run(copy / "tables").returncode == 2


def test_a_folder_of_a_newer_version_is_refused(copy: Path) -> None:
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace("reportgen/manifest/1", "reportgen/manifest/2"))
    with pytest.raises(InputError) as error:
        verify(copy)
    assert str(error.value) == (
        f"{copy / 'manifest.json'}: a newer reportgen made it (reportgen/manifest/2; this one reads "
        "reportgen/manifest/1). Install that version."
    )


def test_another_pattern_of_what_is_no_number_is_a_change() -> None:
    """Packed halves agree to their last step; of the patterns that are no number, only the one that is written does."""

    def page(*halves: float, pattern: int | None = None) -> bytes:
        numbers = np.array(halves, np.float16)
        if pattern is not None:
            numbers.view(np.uint16)[-1] = pattern
        return f'{{"below":"{packed(numbers)}"}}'.encode()

    assert unlike("report.html", page(1.0, np.nan), page(1.0, np.nan)) == ""
    assert unlike("report.html", page(1.0, np.nan, pattern=0x7F00), page(1.0, np.nan)) != ""
    assert unlike("report.html", page(1.5, np.nan), page(1.0, np.nan)) != ""
    assert unlike("report.html", page(1.0, 1.5e-5), page(1.0, 0.0)) != ""
