"""Scores that a report's PDF carries."""

import json
from pathlib import Path

import numpy as np
from files import refusal, written
from pypdf import PdfWriter

from reportgen.core.scores import HeadScores
from reportgen.importers import load_scores
from reportgen.storage.files import sha256
from reportgen.storage.manifest import MANIFEST
from reportgen.storage.scores_file import scores_bytes

SCORES = HeadScores.from_array(np.arange(1.0, 7).reshape(1, 2, 3), ["a"])


def report_pdf(folder: Path, creator: str = "reportgen", changed: bytes | None = None, **left_out: bytes) -> Path:
    """A page without text that carries what a report's does."""
    files = {"scores.safetensors": scores_bytes(SCORES), "findings.json": b"{}"}
    entries = {name: {"sha256": sha256(data), "size": len(data)} for name, data in files.items()}
    content = {"schema": MANIFEST, "created": "2023", "reportgen": "0", "files": entries}
    files["manifest.json"] = json.dumps(content).encode()
    if changed is not None:
        files["findings.json"] = changed
    writer = PdfWriter()
    writer.add_blank_page(10, 10)
    writer.add_metadata({"/Creator": creator})
    for name, data in files.items():
        if name.partition(".")[0] not in left_out:
            writer.add_attachment(name, data)
    writer.write(folder / "report.pdf")
    return folder / "report.pdf"


def test_the_attached_scores_are_read(tmp_path: Path) -> None:
    scores = load_scores(report_pdf(tmp_path))
    np.testing.assert_array_equal(scores.importance, SCORES.importance)
    assert scores.task_names == ("a",)


def test_a_pdf_that_is_no_report_of_ours_is_refused(tmp_path: Path) -> None:
    assert refusal(report_pdf(tmp_path, creator="another")).startswith("report.pdf: reportgen did not write this PDF.")
    assert "this PDF cannot be read" in refusal(written(tmp_path, "no PDF", "b.pdf"))


def test_attachments_that_are_missing_or_changed_are_named(tmp_path: Path) -> None:
    for name in ("manifest", "findings", "scores"):
        said = refusal(report_pdf(tmp_path, **{name: b""}))
        assert f"it does not carry {name}." in said, said
        assert "its attachments were stripped" in said
    said = refusal(report_pdf(tmp_path, changed=b"{ }"))
    assert "its attachment findings.json is not the one that its manifest records" in said
