"""What the page's script does, in a real Chromium, from a file."""

import csv
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from made_reports import HOSTILE, build, find_in_blocks, make_blocks, make_scores, make_study
from playwright.sync_api import expect

from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores, Method
from reportgen.rendering.plots.overview import percentile_of
from reportgen.storage.scores_file import read_scores

OVERVIEW = "#figure-overview"


@pytest.fixture
def opened(browser):
    """A function that opens a report at a hash and waits for its script."""
    contexts = []

    def opened(folder, at="", **options):
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.messages = []
        page.on("console", lambda m: page.messages.append(m.text))
        page.on("pageerror", lambda e: page.messages.append(str(e)))
        page.goto((folder / "report.html").as_uri() + at)
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(opened, report):
    page = opened(report)
    yield page
    assert page.messages == []


def point_at(page, panel, layer, head, shape=(6, 8)):
    box = panel.bounding_box()
    x, y = box["width"] * (head + 0.5) / shape[1], box["height"] * (layer + 0.5) / shape[0]
    page.mouse.move(box["x"] + x, box["y"] + y)


def saved(page, way, figure=OVERVIEW):
    with page.expect_download() as download:
        page.locator(f"{figure} .export button", has_text=way).click()
    return download.value.path().read_bytes()


def controls(page, **values):
    page.locator(".view summary").click()
    for label, value in values.items():
        control = page.locator("label", has=page.get_by_text(label.replace("_", " "), exact=True))
        if control.locator("select").count():
            control.locator("select").select_option(value)
        else:
            control.locator("input").fill(value)


def test_hovering_tells_of_the_head_what_the_tables_say(page, report):
    (scores,), _ = read_scores(report / "scores.safetensors")
    table = (report / "tables" / "heads.csv").read_text(encoding="utf-8").splitlines()
    rows = {(r["layer"], r["head"]): r for r in csv.DictReader(table) if r["task"] == "Recall"}
    layer, head = map(int, np.unravel_index(scores.importance[0].argmax(), (6, 8)))
    row = rows[str(layer), str(head)]
    panel = page.locator(f"{OVERVIEW} .panel").first
    panel.scroll_into_view_if_needed()
    point_at(page, panel, layer, head)
    told = page.locator(".readout").inner_text()
    assert told.startswith(f"L{layer}H{head} Recall")
    value, low, high = map(float, re.search(r"gate: ([\d.]+) \(95 % interval ([\d.]+) to ([\d.]+)\)", told).groups())
    wanted = [float(row[name]) for name in ("value", "low", "high")]
    assert np.allclose([value, low, high], wanted, rtol=6e-3)
    assert "rank 1 of 48, percentile 100" in told


def test_a_cell_names_its_findings_and_a_finding_marks_its_cells(page):
    panel = page.locator(f"{OVERVIEW} .panel").first
    panel.scroll_into_view_if_needed()
    point_at(page, panel, 1, 1)
    assert page.locator(".readout a").all_inner_texts() == ["Cluster, Recall"]
    point_at(page, panel, 4, 4)
    assert page.locator(".readout a").count() == 0
    page.locator("#task-recall .evidence-of summary").click()
    page.locator("#finding-cluster-recall-1 .claim").hover()
    marked = page.locator(f"{OVERVIEW} g.found path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
    assert sorted({d.count("M") for d in marked}) == [0, 14]  # the border of 3 × 4 cells, and only on this task
    page.locator("h1").hover()
    assert set(page.locator(f"{OVERVIEW} g.found path").evaluate_all("a => a.map(p => p.getAttribute('d'))")) == {""}


def test_the_keyboard_goes_from_head_to_head_and_keeps_one(page):
    page.locator(f"{OVERVIEW} .scroll").focus()
    page.keyboard.press("Tab")
    assert page.locator(".readout b").inner_text() == "L0H0"
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.locator(".readout b").inner_text() == "L1H2"
    page.keyboard.press("PageDown")
    assert page.locator(".readout").inner_text().startswith(f"L1H2 {HOSTILE[0]}")
    page.keyboard.press("Enter")
    assert page.url.endswith("#L1H2")
    assert page.locator(".card h2").inner_text() == "L1H2"
    assert page.locator(".card tbody tr").count() == 6
    assert page.evaluate("document.activeElement.textContent") == "×"
    page.keyboard.press("Escape")
    assert not page.locator(".card").is_visible()
    assert page.evaluate("document.activeElement.className") == "panel"
    assert "#" not in page.url


@pytest.mark.parametrize("address", ["#L5H7", "#finding-cluster-recall-1"])
def test_addresses_of_heads_and_findings(opened, report, address):
    page = opened(report, address)
    drawn = page.locator(f"{OVERVIEW} g.found path").evaluate_all("a => a.filter(p => p.getAttribute('d')).length")
    assert drawn == (12 if address == "#L5H7" else 2)  # a halo and a line, on every task or on one
    assert page.locator(".card").is_visible() == (address == "#L5H7")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("#L99H0", "Nothing on this page is called “L99H0”. Heads go from L0H0 to L5H7."),
        (
            "#unknown",
            "Nothing on this page is called “unknown”. It may be of another report, or of a section left out here.",
        ),
    ],
)
def test_an_address_that_leads_nowhere_says_so(opened, report, address, said):
    page = opened(report, address)
    assert page.locator(".card p").inner_text() == said
    assert page.messages == []


def test_the_view_changes_and_comes_back(page):
    images = "all => all.map(i => i.getAttribute('xlink:href'))"
    cells = page.locator("image.cells")
    before = cells.evaluate_all(images)
    controls(page, Colours="gray", To="0.0005", Fade_below="0.0002", Heads="yes", Tasks_named="recall")
    during = cells.evaluate_all(images)
    assert sum(a != b for a, b in zip(before, during, strict=True)) == len(before) - 1  # all but the map of counts
    note = page.locator(f"{OVERVIEW} .now").inner_text()
    assert note.startswith("View: colours: gray; scale of values from 0.00 to 0.000500; ")
    assert note.endswith("in each layer the largest head first, outlines left out; tasks with “recall” in their name.")
    assert page.locator("section.task:visible h3").all_inner_texts() == ["Recall"]
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(f"{OVERVIEW} .now")).to_have_text("")
    assert cells.evaluate_all(images) == before
    assert page.locator("section.task:visible").count() == 6


def test_the_view_is_saved_as_svg_png_and_csv(page, report):
    (scores,), _ = read_scores(report / "scores.safetensors")
    assert saved(page, "PNG").startswith(b"\x89PNG")
    rows = list(csv.reader(saved(page, "CSV").decode().splitlines()))
    assert rows[0] == ["task", "block", "layer", "head", "value", "low", "high", "rank"]
    assert len(rows) == 1 + scores.importance.size
    assert {r[0] for r in rows[1:]} >= {"Recall", HOSTILE[0], "'=HYPERLINK(1)"}
    assert [np.float32(r[4]) for r in rows[1:49]] == scores.importance[0].ravel().tolist()
    controls(page, Fade_below="0.0004", Heads="yes")
    kept = list(csv.reader(saved(page, "CSV").decode().splitlines()))[1:]
    assert len(kept) == (scores.importance >= np.float32(0.0004)).sum()
    root = ET.fromstring(saved(page, "SVG"))
    assert root[-1].text.startswith("View: ")
    assert not [e for e in root.iter() if e.get("class") == "marks"]


def test_percentiles_and_ranks_are_those_of_the_figures(opened, tmp_path):
    values = np.array([[[0.5, -2.0, 0.5], [1.0, 0.0, -0.25]]], dtype=np.float32)
    scores = HeadScores(values, make_scores(("One",)).tasks, Method("m", signed=True), reduction="mean")
    build(tmp_path, scores, Findings({}, 0.05, 0, [], []), make_study(formats=["html"]))
    page = opened(tmp_path)
    panel = page.locator("#figure-percentiles .panel").first
    panel.scroll_into_view_if_needed()
    for (layer, head), percentile in np.ndenumerate(percentile_of(values[0])):
        point_at(page, panel, layer, head, (2, 3))
        assert page.locator(".readout").inner_text().endswith(f"percentile {percentile:.3g}"), (layer, head)
    dashes = page.locator("#figure-overview .plot > svg g.signs path").evaluate_all("a => a.map(p => p.outerHTML)")
    assert "".join(dashes).count("L") == 1 + 8  # the one clearly negative cell, and the colour bar
    controls(page, **{"To ±": "1", "Colours": "gray"})
    drawn = page.locator("#figure-overview g.own-signs path").evaluate_all("a => a.map(p => p.getAttribute('d'))")
    assert "".join(drawn).count("M") == 2 + 8  # −0.25 is a fifth of the scale's end now
    assert page.locator("#figure-overview g.signs path:visible").count() == 0
    assert "dashes from −0.200 down" in page.locator("#figure-overview .now").inner_text()
    assert page.locator(".view").get_by_text("From", exact=True).count() == 0  # a signed scale is centred at zero


def test_heads_of_blocks_have_addresses_with_their_block(opened, tmp_path):
    blocks = make_blocks(examples=24)
    build(tmp_path, blocks, find_in_blocks(blocks), make_study(formats=["html"]))
    page = opened(tmp_path, "#cross.L5H3")
    assert page.locator(".card h2").inner_text() == "cross.L5H3"
    assert page.locator(".card a").all_inner_texts() == ["Single head, Recall"]
    panel = page.locator("#figure-overview-dec .panel").first
    panel.scroll_into_view_if_needed()
    point_at(page, panel, 2, 1, (6, 4))
    assert page.locator(".readout").inner_text() == "dec.L2H1 Recall: no head here"


def test_a_hover_is_answered_at_once(page):
    page.locator(f"{OVERVIEW} .panel").first.scroll_into_view_if_needed()
    took = page.evaluate("""async () => {
      const panel = document.querySelector('.panel'), box = panel.getBoundingClientRect(), took = [];
      for (let i = 0; i < 20; i++) {
        const start = performance.now(), at = { clientX: box.left + i * 3, clientY: box.top + 5 };
        panel.dispatchEvent(new PointerEvent('pointermove', at));
        document.querySelector('.readout').getBoundingClientRect();
        took.push(performance.now() - start);
      }
      return took.sort((a, b) => a - b)[10] }""")
    assert took < 16  # one frame of a screen
