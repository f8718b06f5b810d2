import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from made_reports import HOSTILE, make_findings, make_scores
from made_trials import trial
from matplotlib import font_manager
from PIL import Image

from reportgen.core.findings import Findings
from reportgen.core.scores import Head, HeadScores
from reportgen.core.trials import Outcome, Validation
from reportgen.errors import MissingResourceError
from reportgen.rendering.format import number
from reportgen.rendering.plots import figures, matplotlib_adapter
from reportgen.rendering.plots.canvas import Canvas, fitted, wrapped
from reportgen.rendering.plots.curves import shares
from reportgen.rendering.plots.drawing import style_of
from reportgen.rendering.plots.dumbbell import dumbbell, rows
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.heatmap import draw_cells
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.plots.overview import small_maps, top_heads
from reportgen.rendering.plots.scale import scale_of, tick_label, tick_step
from reportgen.rendering.plots.signs import block, draw_signs, strongest

NOTHING = Findings({}, 0.05, 0, [], [])


def draw(scores, findings=NOTHING, colormap="viridis", order="down"):
    style = style_of(scores, colormap, order)
    return figures.all_figures((scores,), findings, [style], [[f"task-{i}"] for i in range(len(scores.tasks))])


def test_every_figure_is_xml_with_a_title_and_start_anchored_text():
    drawings = draw(make_scores(HOSTILE), make_findings(make_scores(HOSTILE)))
    for drawing in drawings:
        root = ET.fromstring(drawing.svg)
        assert root[0].tag.endswith("title")
        assert root[0].text.strip() == re.sub(r"\s+", " ", drawing.alt).strip()
        assert not re.search("text-anchor: *(middle|end)", drawing.svg)
        for image in root.iter("{http://www.w3.org/2000/svg}image"):
            assert image.get("image-rendering") == "pixelated"


def test_images_have_a_palette_and_the_same_pixels():
    values = np.random.default_rng(0).random((1, 9, 7))
    root = ET.fromstring(draw(HeadScores.from_array(values, ["a"]))[0].svg)
    (image,) = (e for e in root.iter("{http://www.w3.org/2000/svg}image") if e.get("class") == "cells")
    coded = image.get("{http://www.w3.org/1999/xlink}href").partition(",")[2]
    picture = Image.open(io.BytesIO(base64.b64decode(coded)))
    scale = scale_of(values, "viridis")
    assert picture.mode == "P"
    pixels = np.asarray(picture.convert("RGB"))
    assert any(np.array_equal(each, scale.colours(values[0].astype(np.float32))) for each in (pixels, pixels[::-1]))


def test_inlined_figures_share_no_id():
    ids = [i for d in draw(make_scores()) for i in re.findall(r'\bid="([^"]*)"', d.svg)]
    assert len(ids) == len(set(ids))


def test_the_same_bytes_twice():
    scores = make_scores()
    first, second = (draw(scores, make_findings(scores)) for _ in range(2))
    assert [d.svg for d in first] == [d.svg for d in second]


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (4, 4), (40, 3), (126, 128)])
@pytest.mark.parametrize("order", ["up", "down"])
def test_shapes(shape, order):
    drawings = draw(make_scores(("One",), shape), make_findings(make_scores(("One",), shape)), order=order)
    assert drawings[0].name == "overview"
    assert f"layer 0 at the {'top' if order == 'down' else 'bottom'}" in drawings[0].caption


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-12, 3e8, -2.0])
def test_constant_tensors(value):
    assert draw(HeadScores.from_array(np.full((2, 3, 3), value), ["a", "b"]))


def test_absent_heads_are_struck_through_and_never_counted():
    values = np.full((2, 3, 4), 0.5)
    values[:, 1, 2:] = np.nan
    values[:, 2] = np.nan
    drawings = draw(HeadScores.from_array(values, ["a", "b"]))
    assert "#a8adb4" in drawings[0].svg
    assert np.isnan(figures.top_counts(HeadScores.from_array(values, ["a", "b"]))[1, 3])


def test_many_tasks_make_several_overviews_on_one_scale():
    drawings = [d for d in draw(make_scores(tuple(f"t{i}" for i in range(37)), (4, 4))) if d.section == "overview"]
    names = [f"{name}-{i}" for name in ("overview", "percentiles") for i in (1, 2, 3)]
    assert [d.name for d in drawings] == names
    assert "tasks 26–37 of 37" in drawings[2].caption
    assert [len(d.panels) for d in drawings[:3]] == [13, 12, 12]
    assert [p.task for p in drawings[2].panels] == list(range(25, 37))


def test_a_clipped_scale_counts_what_lies_beyond_it():
    values = np.full((1, 40, 40), 0.001)
    values[0, 0, :2] = 0.5
    drawings = draw(HeadScores.from_array(values, ["a"]))
    assert "2 cells of 1,600 lie above it (largest 0.500)" in drawings[0].caption
    assert re.search(r">0\.0010\+<", drawings[0].svg)


def test_scores_that_lie_close_together_have_colours_of_their_own():
    values = np.float32(0.999) + np.linspace(0, 1e-4, 12, dtype=np.float32).reshape(1, 3, 4)
    scale = scale_of(values, "viridis")
    assert scale.low <= values.min() < values.max() <= scale.high < 0.9992
    assert len(np.unique(scale.colours(values).reshape(-1, 3), axis=0)) == 12
    said = " ".join(draw(HeadScores.from_array(values, ["a"]))[0].said)
    assert re.search(r"Colour is importance, from 0\.99\d{4} to 0\.99\d{4}\.", said), said
    assert "largest head L2H3 (0.9991" in said


def test_the_end_of_the_scale_in_float32_is_not_beyond_it():
    values = np.full((1, 40, 40), 0.003, dtype=np.float32)
    assert scale_of(values, "viridis").clipped == 0


def test_negative_cells_are_told_from_positive_ones_in_grey():
    values = np.array([[-1.0, 1.0, 0.3, -0.3, -0.1]])
    canvas, grid = Canvas(1.0, 0.2), Grid(0, 0, 1.0, 0.2, 1, 5, "down")
    draw_cells(canvas, grid, values, scale_of(values, "viridis", signed=True))
    grey = np.asarray(Image.open(io.BytesIO(canvas.bitmap("png"))).convert("L")).astype(int)
    middles = [grey[20:40, 60 * i + 8 : 60 * i + 52] for i in range(5)]
    assert [int(np.ptp(m)) > 100 for m in middles] == [True, False, False, True, False]


@pytest.mark.parametrize("order", ["up", "down"])
def test_small_cells_share_a_dash_where_the_strongest_is_negative(order):
    values = np.zeros((126, 128))
    values[3, 5], values[1, 4], values[125, 127], values[60, 60] = -1, 0.9, -1, -0.19
    grid = Grid(0, 0, 1.2, 1.2, 126, 128, order)
    assert block(grid) == (4, 4)
    assert np.argwhere(strongest(values, 4, 4) <= -0.2).tolist() == [[0, 1], [31, 31]]
    canvas = Canvas(1.2, 1.2)
    draw_signs(canvas, grid, values, scale_of(values, "viridis", signed=True))
    strokes = re.findall(r"M ([\d.]+) ([\d.]+) ?\nL ([\d.]+) ([\d.]+)", canvas.svg("dashes", "dashes"))
    middles = [((float(x1) + float(x2)) / 2 / 86.4 * 128, float(y) / 86.4 * 126) for x1, y, x2, _ in strokes]
    down = np.array([(6, 2), (126, 125)])  # of layers 0 to 3, and of the last two
    assert np.allclose(middles, down if order == "down" else np.abs(down - (0, 126)), atol=0.01)


def test_signed_scores_get_a_centred_diverging_scale():
    scale = scale_of(np.array([-1.0, 0.2, 0.5]), "viridis")
    assert (scale.low, scale.high, scale.colormap) == (-1.0, 1.0, "RdBu_r")
    assert scale.colours(np.array([0.0]))[0].min() > 230


def test_outline_of_a_rectangle_is_four_lines_and_of_an_l_six():
    grid = Grid(0, 0, 4, 4, 4, 4, "down")
    mask = np.zeros((4, 4), dtype=bool)
    mask[1:3, 1:3] = True
    assert len(list(grid.outline(mask, 0))) == 4
    assert {p for s in grid.outline(mask, 0) for p in s} == {(1, 1), (3, 1), (1, 3), (3, 3)}
    mask[1, 1] = False
    assert len(list(grid.outline(mask, 0))) == 6


@pytest.mark.parametrize("order", ["up", "down"])
def test_outline_corners_meet(order):
    grid = Grid(0, 0, 4, 4, 4, 4, order)
    mask = np.zeros((4, 4), dtype=bool)
    mask[0:3, 1:3] = True
    mask[1, 3] = True
    ends = [(round(x, 6), round(y, 6)) for s in grid.outline(mask, 0.01) for x, y in s]
    assert all(ends.count(e) == 2 for e in ends)


def test_layer_order():
    assert Grid(0, 0, 4, 4, 4, 4, "down").centre(0, 0)[1] < Grid(0, 0, 4, 4, 4, 4, "up").centre(0, 0)[1]


@pytest.mark.parametrize(("n", "step"), [(1, 1), (4, 1), (12, 2), (32, 6), (126, 24), (2000, 512)])
def test_tick_steps(n, step):
    assert tick_step(n) == step


def test_tick_labels():
    assert [tick_label(v, 0.0005) for v in (0, 0.0005, -0.003)] == ["0.0000", "0.0005", "−0.0030"]
    assert tick_label(2.5, 2.5) == "2.5"


def test_names_fit_their_room():
    for name in HOSTILE:
        assert text_width(fitted(name, 1.0, 7), 7) <= 1.0
        assert all(text_width(line, 7) <= 1.0 for line in wrapped(name, 1.0, 7))
        assert len(wrapped(name, 1.0, 7)) <= 2


def test_cross_task_counts():
    values = np.zeros((3, 1, 10))
    values[:, 0, 4] = 1
    counts = figures.top_counts(HeadScores.from_array(values, ["a", "b", "c"]))
    assert counts[0, 4] == 3
    assert counts.sum() == 3


def test_shares_are_exact():
    assert shares(np.array([[3.0, 1.0], [np.nan, -4.0]])).tolist() == [0, 0.5, 0.875, 1.0]
    assert shares(np.zeros((1, 2))).tolist() == [0, 0.5, 1]


def test_a_missing_font_of_the_figures_is_named(monkeypatch):
    for cached in (matplotlib_adapter._covered, matplotlib_adapter._file):
        cached.cache_clear()
    monkeypatch.setattr(matplotlib_adapter, "font_files", lambda: ["/fonts/DejaVuSans-Bold.ttf"])
    with pytest.raises(MissingResourceError, match=r"figures: .* font DejaVuSans.ttf is missing. Run `pip install"):
        matplotlib_adapter.unprintable("a")


def test_figures_are_set_in_the_shipped_font_whatever_fonts_of_that_name_the_machine_has(monkeypatch):
    width, manager = text_width("Layer", 10), font_manager.fontManager
    other = next(entry.fname for entry in manager.ttflist if entry.name == "DejaVu Serif")
    monkeypatch.setattr(manager, "ttflist", [replace(entry, fname=other) for entry in manager.ttflist])
    for cached in (
        matplotlib_adapter.font,
        matplotlib_adapter._runs,
        matplotlib_adapter._width,
        manager._findfont_cached,
    ):
        cached.cache_clear()
    assert text_width("Layer", 10) == width
    manager._findfont_cached.cache_clear()


def test_paper_figures_have_no_type_3_fonts():
    drawing = draw(make_scores())[0]
    document = drawing.canvas.bitmap("pdf")
    assert b"/Type3" not in document
    assert drawing.canvas.bitmap("png").startswith(b"\x89PNG")


def sized(*sizes):
    values = np.random.default_rng(3).random((len(sizes), 6, 8)) * np.array(sizes)[:, None, None]
    return HeadScores.from_array(values, [f"task {i}" for i in range(len(sizes))])


def test_maps_share_a_scale_only_where_every_pattern_shows_on_it_and_print_their_maxima():
    alike, unlike = sized(1, 1.5), sized(1, 10)
    shared, own = draw(alike)[0], draw(unlike)[0]
    assert (shared.shows, own.shows) == ("value", "own")
    assert "shared by all tasks" in shared.caption
    assert "each map has its own" in own.caption
    assert [p.scale for p in shared.panels] == [None, None]
    assert [p.scale[1] for p in own.panels] == pytest.approx(unlike.importance.max(axis=(1, 2)))
    for scores, drawing in ((alike, shared), (unlike, own)):
        for values in scores.importance:
            layer, head = np.unravel_index(values.argmax(), values.shape)
            assert f">max {number(float(values.max()))}, L{layer}H{head}<" in drawing.svg


def test_a_scale_of_its_own_ends_before_a_largest_head_that_would_leave_all_others_dark():
    values = np.full((2, 40, 40), 0.1)
    values[0, 3, 3] = 9
    drawing = draw(HeadScores.from_array(values, ["a", "b"]))[2]
    assert drawing.panels[0].scale == pytest.approx((0, 0.1))
    assert "Colour ends at 0.100; the largest is 9.00." in drawing.caption


@pytest.mark.parametrize(
    ("n", "lengths"), [(5, [3, 2]), (8, [4, 4]), (9, [3, 3, 3]), (10, [4, 3, 3]), (13, [4, 3, 3, 3])]
)
def test_panels_stand_in_even_rows(n, lengths):
    panels = draw(make_scores(tuple(f"t{i}" for i in range(n)), (2, 2)))[0].panels
    tops = [round(p.box[1], 6) for p in panels]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == lengths


def test_no_word_lies_on_a_map():
    scores = make_scores(("mmlu_high_school_us_history", "mmlu_high_school_world_history", "a"), (30, 32))
    for drawing in draw(scores, make_findings(scores)):
        root = ET.fromstring(drawing.svg)
        _, _, width, height = map(float, root.get("viewBox").split())
        words = [(float(t.get("x", -1)), float(t.get("y", -1))) for t in root.iter("{http://www.w3.org/2000/svg}text")]
        assert words
        for left, top, wide, high in (p.box for p in drawing.panels):
            inside = [(x, y) for x, y in words if 0 < x / width - left < wide and 0 < y / height - top < high]
            assert not inside, drawing.name


def test_tested_and_observed_findings_have_marks_that_differ_without_colour():
    scores = make_scores(("Recall",), (20, 20))
    tested, observed = make_findings(scores).findings[:2]
    dashed = [
        'stroke-dasharray="' in draw(scores, Findings({}, 0.05, 0, [], [finding]))[0].svg
        for finding in (tested, observed)
    ]
    assert dashed == [False, True]


def test_top_heads_are_never_chosen_among_ties():
    values = np.zeros((2, 4))
    assert top_heads(values) == ()
    values[0, 1], values[1, 2:] = -3, 2
    assert top_heads(values) == (Head(0, 1), Head(1, 2), Head(1, 3))
    values[0, 3] = 2
    assert top_heads(values) == (Head(0, 1),)
    assert top_heads(np.array([[np.nan, 1.0]])) == (Head(0, 1),)


def test_small_maps_show_at_most_eight_tasks_and_those_that_are_asked_for():
    scores = make_scores(tuple(f"t{i}" for i in range(11)), (8, 8))
    style = style_of(scores, "viridis", "down")
    first, chosen = small_maps(scores, style), small_maps(scores, style, [9, 2], columns=2)
    assert [p.task for p in first.panels] == list(range(8))
    assert [p.task for p in chosen.panels] == [9, 2]
    assert "8 of 11 tasks" in first.caption
    assert len(first.svg) < 60_000


def test_a_dumbbell_shows_what_is_left_without_found_heads_and_without_others():
    assert dumbbell(None) is None
    hard = trial(tasks=["hard"], knocked_out=Outcome(0.1, -3.0))
    trials = [trial(), hard, trial(tasks=["untold"], after_controls=None), trial(kind="other")]
    assert [row.task for row in rows(Validation("k", {}, trials=trials))] == ["hard", "untold", "t"]
    drawing = dumbbell(Validation("k", {}, trials=trials))
    assert (
        drawing.said[0] == "hard: 10.0 % without L1H2 and L1H3, 89.0 % without others of their layers, 93.0 % with all."
    )
    assert drawing.said[1] == "untold: 41.0 % without L1H2 and L1H3, 93.0 % with all."
