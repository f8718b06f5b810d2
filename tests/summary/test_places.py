"""Where claims stand: the same claims in the same order everywhere, explained to single numbers, and verified."""

import json
import shutil
from html import unescape
from pathlib import Path

import pytest
from made_maps import noise

import reportgen
from reportgen.cli import explain
from reportgen.cli.console import claim_lines
from reportgen.core.scores import HeadScores
from reportgen.rendering.format import NONE

STUDY = """[study]
title = "Told"
[scores]
path = "scores.csv"
[report]
formats = ["html"]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> reportgen.Built:
    folder = tmp_path_factory.mktemp("claims")
    tensor = noise(1, (3, 20, 20))
    tensor[:2, 4:10, 3:9] *= 8
    scores = HeadScores.from_array(tensor, ["Recall", "50 % of <logic>", "Math"])
    rows = [
        f"{task},{layer},{head},{scores.importance[t, layer, head]:.6g}"
        for t, task in enumerate(scores.task_names)
        for layer in range(20)
        for head in range(20)
    ]
    (folder / "scores.csv").write_text("\n".join(["task,layer,head,importance", *rows]))
    (folder / "study.toml").write_text(STUDY)
    return reportgen.build(folder / "study.toml", folder / "out")


def order(text: str, marks: list[str]) -> list[int]:
    return [text.index(mark) for mark in marks]


def test_claims_stand_in_one_order_everywhere(report: reportgen.Built) -> None:
    claims = json.loads((report.folder / "claims.json").read_text())["claims"]
    assert len(claims) > 3
    assert claims[0]["headline"] == "50 % of <logic> and Recall have a compact block of heads"
    told = [c["headline"] for c in claims]
    page, markdown = (
        unescape((report.folder / "report.html").read_text()),
        (report.folder / "claims.md").read_text(),
    )
    latex, heads = ((report.folder / name).read_text() for name in ("claims.tex", "heads.json"))
    notebook, terminal = report._repr_html_(), "\n".join(claim_lines(report.claims))
    places = {
        "page": (page, [f'<span class="headline">{headline}</span>' for headline in told]),
        "Markdown": (markdown.replace("\\", ""), [f"**{headline}.**" for headline in told]),
        "LaTeX": (latex, [f"\\item \\reportclaim{{{c['id']}}}" for c in claims]),
        "heads.json": (heads, [f'"id": "{c["id"]}"' for c in claims]),
        "notebook": (unescape(notebook), told),
        "terminal": (terminal, told),
    }
    for name, (text, marks) in places.items():
        assert [mark for mark in marks if mark not in text] == [], name
        assert order(text, marks) == sorted(order(text, marks)), name
    assert "<b>50 % of &lt;logic&gt; and Recall have" in notebook
    assert report.claims._repr_html_() in notebook
    assert notebook.index("<ol>") < notebook.index("<svg")
    assert [name for name in ("Recall", "50 % of &lt;logic&gt;", "Math") if f">{name}</text>" not in notebook] == []
    assert "<script" not in notebook
    assert terminal.splitlines()[0] == f"1. {told[0]} [tested]"
    assert r"\DeclareRobustCommand{\reportclaims}" in latex
    assert markdown.startswith("## Told\n\n- **50 % of \\<logic\\> and Recall have a compact block of heads.**")
    assert 'name="description" content="Importance of every attention head on 3 tasks. 50 % of <logic>' in page


def test_explain_shows_a_claim_down_to_the_fields_of_its_findings(report: reportgen.Built) -> None:
    (claim,) = (c for c in report.claims.claims if c.id in ("heads/blocks", "heads/regions"))
    text = explain.claim_text(claim, report.findings, report.folder)
    ratio = report.findings.get("cluster/recall/1").effect
    assert ratio is not None
    name = next(key for key, value in claim.values.items() if value == ratio.estimate)
    assert f"  {name} = {ratio.estimate:.6g}  cluster/recall/1: effect.estimate" in text
    assert f"  cluster/recall/1: {report.findings.get('cluster/recall/1').sentence}" in text
    assert f"  reportgen summarize {report.folder}" in text
    plain = explain.claim_json(claim, report.findings, report.folder)
    assert plain["sources"][name] == ["cluster/recall/1: effect.estimate"]  # type: ignore[index]
    assert NONE not in text


def test_verify_derives_each_claim_and_names_the_one_that_differs(report: reportgen.Built, tmp_path: Path) -> None:
    folder = tmp_path / "altered"
    shutil.copytree(report.folder, folder)
    path = folder / "claims.json"
    content = json.loads(path.read_text())
    content["claims"][0]["headline"] = "All tasks have a compact block of heads"
    del content["claims"][-1]
    path.write_text(json.dumps(content))
    found = reportgen.verify(folder)
    assert found.result == "differs"
    wrong = {check.what: check.wrong for check in found.differences}
    last = report.claims.claims[-1].id
    assert wrong["claim heads/blocks" if "claim heads/blocks" in wrong else "claim heads/regions"].startswith(
        "headline is 'All tasks"
    )
    assert wrong[f"claim {last}"].startswith("it is 'not recorded'")
    assert reportgen.verify(report.folder).result == "verified"
