import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from made_reports import HOSTILE, make_findings, make_scores
from matplotlib import font_manager
from PIL import Image

from reportgen.core.findings import Findings
from reportgen.core.scores import HeadScores
from reportgen.errors import MissingResourceError
from reportgen.rendering.plots import figures, matplotlib_adapter
from reportgen.rendering.plots.canvas import Canvas, fitted, wrapped
from reportgen.rendering.plots.curves import shares
from reportgen.rendering.plots.drawing import style_of
from reportgen.rendering.plots.grid import Grid
from reportgen.rendering.plots.heatmap import draw_cells
from reportgen.rendering.plots.matplotlib_adapter import text_width
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
    assert "tasks 33–37 of 37" in drawings[2].caption
    assert [p.task for p in drawings[2].panels] == [32, 33, 34, 35, 36]


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
    alt = draw(HeadScores.from_array(values, ["a"]))[0].alt
    assert re.search(r"Colour is importance, from 0\.99\d{4} to 0\.99\d{4}\.", alt)
    assert "largest head L2H3 (0.9991" in alt


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
    for cached in (matplotlib_adapter.font, text_width, manager._findfont_cached):
        cached.cache_clear()
    assert text_width("Layer", 10) == width
    manager._findfont_cached.cache_clear()


def test_paper_figures_have_no_type_3_fonts():
    drawing = draw(make_scores())[0]
    document = drawing.canvas.bitmap("pdf")
    assert b"/Type3" not in document
    assert drawing.canvas.bitmap("png").startswith(b"\x89PNG")
