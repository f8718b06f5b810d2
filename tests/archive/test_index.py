"""A page over a folder of reports: what it tells, what it reads again, what it skips and refuses."""

import base64
import hashlib
import html
import io
import json
import os
import re
import shutil
from pathlib import Path

import commands
import numpy as np
import pytest
from PIL import Image

from reportgen.archive.index import CACHE, index, lines
from reportgen.core.trials import Trials
from reportgen.errors import InputError
from reportgen.pipeline.reading import open_folder, read_findings
from reportgen.summary.summarize import summarize


@pytest.fixture
def reports(paged: Path, tmp_path: Path) -> Path:
    """Three copies of a report, one of them deeper, and one younger than the others."""
    for name in ("one", "two", "group/three"):
        shutil.copytree(paged, tmp_path / "all" / name)
    change(tmp_path / "all" / "two", created="2024-02-03T04:05:06Z")
    return tmp_path / "all"


def change(report: Path, **values: str) -> None:
    path = report / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_page_tells_and_links_every_report_the_newest_first(reports: Path) -> None:
    made = index(reports)
    assert list(made.entries) == ["two", "group/three", "one"]
    page = made.page.read_text()
    assert re.findall(r'<h2><a href="([^"]*)">', page) == [f"{name}/report.html" for name in made.entries]
    assert all((reports / name / "report.html").is_file() for name in made.entries)
    claims = summarize(Trials(read_findings(reports / "one"))).claims[:4]
    assert claims
    for told in (
        "A study of heads",
        "models/tiny",
        "8 × 10",
        "gate_gradient",
        "2 tasks: Recall, Logic",
        "2024-02-03",
        "2023-11-14",
        *(f"{c.headline}.</b> {c.body}" for c in claims),
    ):
        assert told in html.unescape(page), told
    first = re.findall(r'<p class="top">.*?<b>(.*?)\.</b>', page)
    assert [html.unescape(each) for each in first] == [claims[0].headline] * 3
    assert page.count('class="badge tested"') + page.count('class="badge observed"') == 12
    assert lines(made) == [str(reports / "index.html"), "3 reports: 3 read, 0 unchanged"]


def test_the_picture_is_the_first_tasks_map(reports: Path) -> None:
    coded = index(reports).entries["one"].picture.removeprefix("data:image/png;base64,")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(coded))).convert("RGB")).astype(int)
    importance = open_folder(reports / "one")[0].blocks[0].importance[0]
    assert pixels.shape == (8, 10, 3)
    assert np.unravel_index(pixels.sum(axis=2).argmax(), (8, 10)) == np.unravel_index(importance.argmax(), (8, 10))


def test_only_what_changed_is_read_again_and_the_bytes_are_those_of_a_first_reading(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = index(reports).page.read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")  # the day of indexing is not told
    assert index(reports).read == 0
    assert (reports / "index.html").read_bytes() == first
    change(reports / "one", created="2025-01-01T00:00:00Z")
    made = index(reports)
    assert (made.read, next(iter(made.entries))) == (1, "one")
    kept, cache = made.page.read_bytes(), (reports / CACHE).read_bytes()
    assert kept != first
    for damage in (
        "{",
        '{"schema": "reportgen/index/2", "reports": {}}',
        '{"schema": "reportgen/index/1", "reports": 3}',
    ):
        (reports / CACHE).write_text(damage)
        assert index(reports).read == 3
        assert ((reports / "index.html").read_bytes(), (reports / CACHE).read_bytes()) == (kept, cache)
    shutil.rmtree(reports / "one")
    assert list(index(reports).entries) == ["two", "group/three"]


def test_broken_reports_are_skipped_and_named_on_the_page_and_the_terminal(reports: Path, paged: Path) -> None:
    index(reports)
    (reports / "one" / "heads.json").unlink()
    with (reports / "two" / "scores.csv").open("a") as file:
        file.write("x")
    names = ("edited", "newer", "cut", "half", "list", "moment", "<b>")
    for name in names:
        shutil.copytree(paged, reports / name)
    edited = reports / "edited" / "findings.json"
    edited.write_text(edited.read_text().replace("cluster of 12", "cluster of 13"))
    change(reports / "newer", schema="reportgen/manifest/2")
    (reports / "cut" / "manifest.json").write_text('{"schema"')
    (reports / "half" / "manifest.json").unlink()
    (reports / "list" / "manifest.json").write_text('{"schema": "reportgen/manifest/1", "files": {"a": []}}')
    change(reports / "moment", created="yesterday")
    (reports / "<b>" / "scores.safetensors").write_bytes(bytes((reports / "one" / "scores.safetensors").stat().st_size))
    size = (reports / "two" / "scores.csv").stat().st_size
    made = index(reports)
    assert list(made.entries) == ["group/three"]
    assert {name: why for name, why in made.skipped.items() if name not in ("cut", "<b>")} == {
        "edited": "findings.json: its hash is not that of the manifest",
        "half": "manifest.json: no such file",
        "list": "manifest.json: its lists of files and versions are damaged",
        "moment": "manifest.json: created: 'yesterday' is no moment",
        "newer": "manifest.json: a newer reportgen made it (reportgen/manifest/2; this one reads reportgen/manifest/1)",
        "one": "heads.json: the file is missing",
        "two": f"scores.csv: it has {size:,} bytes, and {size - 1} in the manifest",
    }
    assert made.skipped["cut"].startswith("manifest.json: this is not JSON (")
    assert made.skipped["<b>"].startswith("scores.safetensors: this is not a readable safetensors file (")
    page = made.page.read_text()
    assert "Skipped: 9 broken reports" in page
    assert "<b>&lt;b&gt;</b>: scores.safetensors: this is not" in page
    done = commands.run("index", reports, "--quiet")
    assert done.returncode == 0
    told = [f"skipped {name}: {why}" for name, why in made.skipped.items()]
    assert done.stdout.splitlines() == [str(reports / "index.html"), "1 report: 0 read, 1 unchanged", *told]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "{}: no such folder. Check the path."),
        (lambda folder: folder.mkdir(), "{}: there is no report in it. Give a folder that holds folders of reports."),
        (
            lambda folder: (folder.mkdir(), (folder / "manifest.json").write_text("{}")),
            "{}: this is a report, not a folder of reports. Give the folder that it lies in.",
        ),
        (
            lambda folder: (folder.mkdir(), (folder / "index.html").write_text("mine")),
            "{}/index.html: reportgen did not write this page. Move it away, or give another folder.",
        ),
    ],
)
def test_what_cannot_be_indexed_is_refused_and_left_alone(tmp_path: Path, make, message: str) -> None:
    folder = tmp_path / "x"
    make(folder)
    before = {p: p.read_bytes() for p in folder.rglob("*")}
    with pytest.raises(InputError) as raised:
        index(folder)
    assert str(raised.value) == message.format(folder)
    assert {p: p.read_bytes() for p in folder.rglob("*")} == before


def test_the_page_is_searched_by_its_one_script_and_reads_without(reports: Path, browser, violations) -> None:
    os.rename(reports / "group", reports / "javascript:alert(1)")
    os.rename(reports / "one", reports / "<img src=x onerror=alert(1)>#?%")
    page = index(reports).page.read_text()
    assert "<img src=x" not in page
    policy = html.unescape(re.search(r'Policy" content="([^"]*)"', page)[1])
    for kind in ("style", "script"):
        (inline,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'" in policy
    assert policy.startswith(
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'sha256"
    )
    assert "unsafe" not in policy
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts)
        view, said = context.new_page(), list[str]()
        view.on("console", lambda message, said=said: said.append(message.text))
        view.goto((reports / "index.html").as_uri())
        assert view.locator(".entry:visible").count() == 3
        assert view.locator("#words").is_visible() == scripts
        if scripts:
            view.fill("#words", "TINY recall 2024-02")
            assert view.locator(".entry:visible").count() == 1
            assert view.inner_text("#told") == "1 of 3 reports"
            view.fill("#words", "")
            assert violations(view) == []
        for i in range(3):  # every address is that of a page, whatever its folder is called
            view.locator(".entry a").nth(i).click()
            assert "Attention-head report" in view.content()
            view.go_back()
        assert said == []
        context.close()
