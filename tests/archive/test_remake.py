"""A report made again from its PDF, and one made twice on machines that differ: the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from made_archives import EPOCH, build, make_scores, write_study

from reportgen import load_scores
from reportgen.archive.verify import verify
from reportgen.errors import InputError
from reportgen.importers.report_pdf import reading
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.options import Options

pytestmark = [pytest.mark.slow, pytest.mark.pdf]

LATER = """import datetime, time

SHIFT = 7 * 365 * 86400 + 12345.6
now, today = time.time, datetime.datetime
time.time = lambda: now() + SHIFT


class Later(today):
    @classmethod
    def now(cls, tz=None):
        return today.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)

    today = now


datetime.datetime = Later
"""  # a clock that is seven years ahead


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_pdf_alone_makes_the_whole_report_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # what the report records counts, not when it is made again
    monkeypatch.chdir(tmp_path)
    shutil.copy(whole / "report.pdf", "sent.pdf")
    pipeline.build("sent.pdf", tmp_path / "again", options=Options(command="reportgen build sent.pdf"))
    assert contents(tmp_path / "again") == contents(whole)
    assert os.environ["SOURCE_DATE_EPOCH"] == "1"


def test_a_report_of_no_set_moment_holds_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    built = build(tmp_path / "study", make_scores(), tmp_path / "out")  # its PDF is written a second or more later
    assert verify(built.pdf).differences == []


def test_a_pdf_is_a_file_of_scores(whole: Path) -> None:
    scores = load_scores(whole / "report.pdf")
    assert scores.importance.tobytes() == load_scores(whole / "scores.safetensors").importance.tobytes()


def test_two_machines_make_the_same_bytes(tmp_path: Path) -> None:
    """Clock, hash seed, time zone, locale, user and place differ; the scores and SOURCE_DATE_EPOCH do not."""
    # Python itself reads an editable install's path in the locale's encoding
    locale = "C" if sys.prefix.isascii() else "C.UTF-8"
    settings = [
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Kiritimati", "LC_ALL": locale, "HOME": "/nonexistent"},
        {"PYTHONHASHSEED": "77", "TZ": "America/Los_Angeles", "LC_ALL": "C.UTF-8", "USER": "somebody"},
    ]
    (tmp_path / "sitecustomize.py").write_text(LATER)
    made = []
    for i, setting in enumerate(settings):
        place = tmp_path / f"place {i}"
        write_study(place / "study", make_scores())
        command = [
            sys.executable,
            "-m",
            "reportgen",
            "build",
            str(place / "study"),
            "-o",
            str(place / "out"),
            "--quiet",
        ]
        path = os.pathsep.join([os.getcwd(), *([str(tmp_path)] if i else [])])
        environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": path, **setting}
        command += ["--venue", "3.3", "--set", "report.formats=['html', 'pdf']"]
        subprocess.run(command, check=True, cwd=place, env=environment, capture_output=True)
        made.append(contents(place / "out"))
    assert made[0].keys() == made[1].keys()
    assert [name for name, content in made[0].items() if content != made[1][name]] == []
    assert {"example.tex", "figures/paper/overview-text.pdf", "report.pdf", "ro-crate-metadata.json"} <= made[0].keys()
    assert json.loads(made[0]["manifest.json"])["command"].startswith("reportgen build study --venue 3.3")


def test_own_templates_are_kept_and_make_the_report_again(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "observations").mkdir(parents=True)
    (own / "observations" / "cluster.j2").write_text(
        "In {{ f.task }} heads stand together ({% if f.test %}q {{ f.test.q|q }}{% else %}undecided{% endif %})."
    )
    (own / "notes.md").write_text("not a template")
    study = write_study(tmp_path / "study", make_scores())
    built = pipeline.build(study, tmp_path / "out", overrides={"report.templates": str(own)})
    assert any("heads stand together" in f.sentence for f in built.findings.findings)
    assert [p.name for p in (tmp_path / "out" / "templates").rglob("*.*")] == ["cluster.j2"]
    shutil.rmtree(own)
    again = pipeline.build(built.pdf, tmp_path / "again", options=Options(trust_templates=True))
    assert contents(again.folder) == contents(built.folder)
    found = verify(built.pdf, trust_templates=True)
    assert (found.result, found.unchecked) == ("verified, with templates of its own", ())
    found = verify(built.folder)
    assert (found.result, found.differences) == ("not fully verified", [])
    told = "what templates of its own made: templates/observations/cluster.j2 (--trust-templates uses them)"
    assert told in found.unchecked
    assert any(each.startswith("finding cluster/") and "heads stand together" in each for each in found.unchecked)
    assert {"heads.json, made again", "tables/heads.csv, made again"} <= {c.what for c in found.checks}


def test_a_scores_file_alone_records_its_study(tmp_path: Path) -> None:
    build(tmp_path / "source", make_scores(), tmp_path / "first", formats=("html",))
    built = pipeline.build(
        tmp_path / "first" / "scores.csv",
        tmp_path / "out",
        overrides={"report.formats": ["html"]},
        options=Options(command="reportgen"),
    )
    text = (built.folder / "study.toml").read_text()
    assert text == '[study]\ntitle = "Attention-head importance: scores"\n\n[scores]\npath = "scores.csv"\n'
    assert verify(built.folder).differences == []


def test_scores_too_large_for_the_pdf_are_named_wherever_they_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reportgen.storage.scores_file.MOST_ATTACHED", 10_000)
    monkeypatch.setattr("reportgen.importers.report_pdf.MOST_ATTACHED", 10_000)
    built = build(tmp_path / "study", make_scores(), tmp_path / "out")
    size = f"scores.safetensors ({(built.folder / 'scores.safetensors').stat().st_size / 1e6:,.1f} MB)"
    with reading(built.pdf) as reader:
        assert "scores.csv" in reader.attachments
        assert "scores.safetensors" not in reader.attachments
        text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    assert "too large to be attached to the PDF" in text
    assert size in text
    assert f"{size}, which lies in the report’s folder" in built.html.read_text()
    assert verify(built.folder).differences == []  # the folder holds them

    alone = tmp_path / "alone.pdf"
    shutil.copy(built.pdf, alone)
    found = verify(alone)
    assert found.result == "not fully verified"
    assert f"findings, figures, tables and pages: {size} did not fit into the PDF" in found.not_recomputable
    assert "scores.safetensors is not attached" in found.not_recomputable
    assert any(check.what.startswith("report.pdf, sentence of cluster/") for check in found.checks)
    with pytest.raises(InputError) as caught:
        pipeline.build(alone, tmp_path / "again")
    assert str(caught.value) == (
        f"{alone}: {size} did not fit into the PDF, which carries 0 MB of scores. Give the report's folder; "
        "scores.csv, which the PDF carries, holds the importance of every head."
    )
    assert not (tmp_path / "again").exists()


def test_the_flag_puts_ones_own_templates_first(tmp_path: Path) -> None:
    """A section, a sentence and the style sheet overridden from the command line; what is not, stays ours."""
    own = tmp_path / "own"
    (own / "sections").mkdir(parents=True)
    (own / "observations").mkdir()
    (own / "sections" / "how_to_read.j2").write_text("<p>Read it as you like.</p>\n")
    (own / "observations" / "concentration.j2").write_text("{{ f.task }} is told in other words.\n")
    (own / "report.css").write_text("body { color: #123456; }\n")
    write_study(tmp_path / "study", make_scores(), formats=("html",))
    command = ["build", "study", "-o", "out", "--quiet", "--templates"]
    done = commands.run(*command, "own", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<p>Read it as you like.</p>" in page
    assert "Recall is told in other words." in page
    assert "body { color: #123456; }" in page
    assert "Data tables" in page
    kept = {
        p.relative_to(tmp_path / "out" / "templates").as_posix() for p in (tmp_path / "out").rglob("templates/**/*.*")
    }
    assert kept == {"sections/how_to_read.j2", "observations/concentration.j2", "report.css"}

    done = commands.run(*command, "no", cwd=tmp_path)
    assert done.returncode == 2
    assert "no such folder" in done.stderr
