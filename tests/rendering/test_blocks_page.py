"""The report of an encoder-decoder, and what methods say of themselves and of each other."""

import csv
import itertools
import json
import re

import numpy as np
import pikepdf
import pytest
from made_reports import build, find_in_blocks, make_blocks, make_findings, make_scores, make_study

from reportgen.core.scores import Method, Model
from reportgen.rendering.sections.agreement import rank_correlation
from reportgen.storage.scores_file import SCORES, read_scores

DIAGNOSTICS = {"completeness gap": {"Recall": 0.07, "Logic": None}, "draws": {"Recall": 64.0, "Logic": 64.0}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        folder = tmp_path_factory.mktemp("blocks")
        blocks = make_blocks(examples=24, errors=True)
        build(folder, blocks, find_in_blocks(blocks), make_study(formats=["html"]))
    return folder


def text_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def plain(folder):
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<(svg|script).*?</\1>", "", text_of(folder), flags=re.S))
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_opens_and_does_not_scroll_sideways(browser, folder, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    messages = []
    page.on("console", lambda m: messages.append(m.text))
    page.goto((folder / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert messages == []
    page.close()


def test_each_block_is_named_in_full_and_numbered_in_reading_order(folder):
    page = text_of(folder)
    overview = page[page.index('<section id="overview"') : page.index('<section id="how-to-read"')]
    assert re.findall(r"<h3>(.*?)</h3>", overview) == ["Encoder", "Decoder", "Cross-attention"]
    assert page.count('<h4 class="block">') == 6
    numbers = [int(n) for n in re.findall(r"<b>Figure (\d+)\.</b>", page)]
    assert numbers == list(range(1, 2 * 3 + 6 + 4 * 3 + 1))
    assert "encoder 4 layers × 4 heads; decoder 6 layers × 4 heads (4 of these positions hold no head);" in (
        plain(folder)
    )
    assert "cross.L0H0 is head 0 of layer 0 of the cross-attention" in plain(folder)
    assert "The 10 most important decoder heads on Recall" in plain(folder)


def test_links_resolve_and_ids_are_unique(folder):
    page = text_of(folder)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'\shref="([^"]*)"', page)
    assert [t for t in targets if not (t[1:] in ids if t.startswith("#") else (folder / t).is_file())] == []
    levels = [int(n) for n in re.findall(r"<h([1-6])", page)]
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_heads_carry_their_block_everywhere(folder):
    heads = set(re.findall(r"\S*L\d+H\d+", plain(folder)))
    first = "L0H0"  # what the guide to reading begins with
    assert {h.lstrip("(") for h in heads if not re.match(r"\(?(enc|dec|cross)\.", h)} <= {first}
    svg = (folder / "figures" / "task-recall-cross.svg").read_text()
    assert ">cross.L5H3<" in svg
    assert ">L5H3<" not in svg
    assert "Cross-attention. Heatmap of 6 layers (rows, layer 0 at the top) by 4 heads (columns)" in svg


def test_files_hold_each_block(folder):
    heads = json.loads((folder / "heads.json").read_text())
    assert heads["blocks"] == ["enc", "dec", "cross"]
    assert {b: len(rows) for b, rows in heads["tasks"]["Logic"].items()} == {"enc": 16, "dec": 20, "cross": 24}
    assert heads["found"]["dec/cluster/Recall/1"] == [f"dec.L{i}H{j}" for i in range(2) for j in range(4)]
    rows = list(csv.DictReader((folder / "tables" / "layers.csv").read_text().splitlines()))
    assert sorted({(r["block"], r["layer"]) for r in rows if r["block"] == "dec"})[:3] == [
        ("dec", "0"),
        ("dec", "1"),
        ("dec", "3"),
    ]
    assert {p.stem for p in (folder / "tables").glob("layers-*.tex")} == {"layers-enc", "layers-dec", "layers-cross"}
    lines = (folder / "tables" / "findings.csv").read_text().splitlines()
    assert {r["block"] for r in csv.DictReader(lines)} == set(heads["blocks"])
    assert (folder / "figures" / "overview-enc.svg").exists()
    assert (folder / "tables" / "heads-recall-dec.tex").exists()


@pytest.mark.pdf
def test_the_pdf_has_all_blocks_and_every_attachment(tmp_path):
    blocks = make_blocks(examples=24, errors=True)
    build(tmp_path, blocks, find_in_blocks(blocks))
    with pikepdf.open(tmp_path / "report.pdf") as document:
        assert document.attachments["scores.csv"].get_file().read_bytes() == (tmp_path / "scores.csv").read_bytes()
        with document.open_outline() as outline:
            overview = next(item for item in outline.root if item.title == "Overview")
        # the encoder's maps stand on the first page
        assert [child.title for child in overview.children] == ["Decoder", "Cross-attention"]


def test_sampling_errors_are_printed(folder):
    error = 0.5 / np.sqrt(24)  # √(Σ se²) / n with the same error in all of 24 examples
    rows = list(csv.DictReader((folder / "tables" / "heads.csv").read_text().splitlines()))
    assert {r["sampling_error"] for r in rows} == {f"{error:.6g}"}
    assert "Sampling s.e.: the standard error that random draws leave in a head’s mean." in plain(folder)
    assert "0.10 " in plain(folder)


def test_one_named_block_alone(tmp_path):
    (_, _, cross) = make_blocks()
    build(tmp_path, cross, find_in_blocks((cross,)), make_study(formats=["html"]))
    assert "Cross-attention" in text_of(tmp_path)
    assert "Encoder" not in text_of(tmp_path)


FAMILIES = {"activation_norm": "control", "zero_ablation": "ablation"}


def others_of(scores, **importance):
    return {
        name: (type(scores)(values, scores.tasks, Method(name, family=FAMILIES.get(name)), scores.model),)
        for name, values in importance.items()
    }


def test_diagnostics_notes_and_rank_correlations(tmp_path):
    base = make_scores()
    scores = type(base)(
        base.importance,
        base.tasks,
        Method("gate_gradient", diagnostics=DIAGNOSTICS),
        Model(notes=["8 of 8 layers have heads", "layers 0–3 are left out: convolution."]),
    )
    constant = scores.importance.copy()
    constant[1] = 0.5
    others = others_of(scores, zero_ablation=-scores.importance, activation_norm=constant)
    build(tmp_path, scores, make_findings(scores), make_study(formats=["html"]), others=others)
    text = plain(tmp_path)
    assert "Diagnostics of gate gradient Task Completeness gap Draws Recall 0.0700 64 Logic — 64" in text
    assert "8 of 8 layers have heads. layers 0–3 are left out: convolution. " in text
    assert (
        "Spearman’s rank correlation over heads between gate gradient and other methods "
        "Task activation norm zero ablation Recall 1.00 1.00 Logic — 1.00" in text
    )
    assert "A score that ranks heads as their plain activation norm does has shown no more than the norm." in text


def test_without_the_control_nothing_is_said_of_it(tmp_path):
    scores = make_scores()
    others = others_of(scores, zero_ablation=scores.importance)
    build(tmp_path, scores, study=make_study(formats=["html"]), others=others)
    assert "between gate gradient and another method" in plain(tmp_path)
    assert "plain activation norm" not in plain(tmp_path)


def test_blocks_are_correlated_one_by_one(tmp_path):
    blocks = make_blocks()
    others = {
        "activation_norm": tuple(
            type(b)(
                b.importance if b.block == "enc" else -(b.importance**-1),
                b.tasks,
                Method("activation_norm", family="control"),
                b.model,
                block=b.block,
            )
            for b in blocks
        )
    }
    build(tmp_path, blocks, find_in_blocks(blocks), make_study(formats=["html"]), others=others)
    text = plain(tmp_path)
    for name, value in (("encoder", "1.00"), ("decoder", "−1.00"), ("cross-attention", "−1.00")):
        assert f"over {name} heads between gate gradient and another method Task activation norm Recall {value}" in text


def test_rank_correlation_shares_ranks_among_ties_and_leaves_absent_heads_out():
    a = np.array([[1.0, 2.0, 2.0], [4.0, np.nan, 9.0]])
    b = np.array([[-1.0, 3.0, 2.0], [5.0, 7.0, np.nan]])
    # ranks over the four heads of both: 1, 2.5, 2.5, 4 and 1, 3, 2, 4
    assert rank_correlation(a, b) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert np.isnan(rank_correlation(np.ones((2, 2)), b[:, :2]))
    assert np.isnan(rank_correlation(np.full((1, 1), np.nan), np.ones((1, 1))))


def test_two_renders_of_blocks_are_the_same_bytes(tmp_path):
    blocks = make_blocks(examples=8)
    for name in ("a", "b"):
        build(tmp_path / name, blocks, find_in_blocks(blocks), make_study(formats=["html"]))
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path.name
    assert read_scores(tmp_path / "a" / SCORES)[0][2].block == "cross"
