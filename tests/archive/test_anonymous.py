"""A report for double-blind review names nobody and no place, in no byte of it."""

import getpass
import platform
import re
from pathlib import Path

import pikepdf
import pytest
from made_archives import make_scores, write_study

from reportgen.archive.verify import verify
from reportgen.errors import InputError
from reportgen.pipeline import build as pipeline

pytestmark = [pytest.mark.slow, pytest.mark.pdf]

NAMED = """# draft by Ada Author
[study]
title = "Heads of a model"
authors = ["Ada Author", "Bo Writer"]
notes = 'A "quoted" note.'

[scores]
path = "{path}"

[tasks]
groups = {{ "all of it" = ["Recall"] }}

[analysis]
permutations = 999
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = write_study(tmp_path / "home of ada", make_scores(model="/home/ada-author/checkpoints/tiny"))
    path.write_text(NAMED.format(path=path.parent / "made.safetensors"))
    return path


def unpacked(path: Path) -> bytes:
    """A file's bytes; of a PDF, also those of its streams and texts, unpacked."""
    data = path.read_bytes()
    if path.suffix != ".pdf":
        return data
    with pikepdf.open(path) as document:
        streams = [o.read_bytes() for o in document.objects if isinstance(o, pikepdf.Stream) and _plain(o)]
        texts = [
            bytes(v)
            for o in document.objects
            if isinstance(o, pikepdf.Dictionary)
            for v in o.values()
            if isinstance(v, pikepdf.String)
        ]
    return b"\n".join((data, *streams, *texts))


def _plain(stream: pikepdf.Stream) -> bool:
    return stream.get("/Subtype") != "/Image"


def leaks(folder: Path, secrets: list[str]) -> set[tuple[str, str]]:
    return {
        (path.name, secret)
        for path in folder.rglob("*")
        if path.is_file()
        for secret in secrets
        if secret.encode() in (data := unpacked(path)) or secret.encode("utf-16-be") in data
    }


def test_no_byte_names_author_user_host_or_place(study: Path, tmp_path: Path) -> None:
    # a user called root or a host called main would be found in any text: whole paths and names are searched
    secrets = [
        "Ada Author",
        "ada-author",
        "Bo Writer",
        "home of ada",
        str(tmp_path),
        str(Path.home()) + "/",
        f"/{getpass.getuser()}/",
        str(Path.cwd()),
    ]
    secrets += [platform.node()] if len(platform.node()) > 5 else []
    open_ = pipeline.build(study, tmp_path / "open", overrides={"report.formats": ["html"]})
    assert {secret for _, secret in leaks(open_.folder, secrets)} >= {"Ada Author", "home of ada"}
    values = {"report.anonymous": True, "study.authors": ["Bo Writer", "Ada Author"]}
    built = pipeline.build(study, tmp_path / "blind", overrides=values)
    assert leaks(built.folder, secrets) == set()
    assert "Anonymous" in (built.folder / "cite.txt").read_text()
    assert re.search(r'path = "made.safetensors"\n', (built.folder / "study.toml").read_text())

    again = pipeline.build(built.pdf, tmp_path / "again")
    assert again.pdf.read_bytes() == built.pdf.read_bytes()
    assert verify(built.folder).differences == []


def test_scores_kept_from_an_open_report_lose_their_place(study: Path, tmp_path: Path) -> None:
    html = {"report.formats": ["html"]}
    opened = pipeline.build(study, tmp_path / "out", overrides=html)
    assert opened.scores.blocks[0].model.path == "/home/ada-author/checkpoints/tiny"
    blind = pipeline.build(study, tmp_path / "out", overrides={**html, "report.anonymous": True})
    assert blind.scores.blocks[0].model.path == "tiny"
    assert leaks(blind.folder, ["ada-author", "Ada Author"]) == set()


def test_prose_that_names_an_author_is_refused(study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text().replace('A "quoted" note', "With thanks to bo writer"))
    with pytest.raises(InputError) as error:
        pipeline.build(study, tmp_path / "out", overrides={"report.anonymous": True})
    assert str(error.value) == (
        "[study] notes: it names an author, Bo Writer. Take the name out, or build without --anonymous."
    )
    assert not (tmp_path / "out").exists()
