"""Figures for papers: as wide as a venue's column and text, in type that can be read, whatever tasks are called."""

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from made_reports import HOSTILE, make_findings, make_scores, make_study
from PIL import Image

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.core import venues
from reportgen.core.config_file import parse_study
from reportgen.errors import InputError
from reportgen.rendering.figures import paper_figures
from reportgen.rendering.report import build_report

pytestmark = pytest.mark.slow

NAMES = ("Knowledge Recall", "Semantic Understanding", "Decision-making")
DRAWN = {
    "overview",
    "percentiles",
    "layer-profiles",
    "cross-task",
    "shared-heads",
    "task-similarity",
    "concentration",
    "method-agreement",
}


@cache
def drawn(venue: str | float, names: tuple[str, ...] = NAMES) -> dict[str, bytes | str]:
    scores, other = make_scores(names, (8, 8), seed=1), make_scores(names, (8, 8), seed=2)
    made, similar = make_findings(scores), analyze(scores, Settings(detectors=("task_similarity",))).findings
    findings = replace(made, findings=[*made.findings, *similar])
    study = make_study(venue=venue)
    report = build_report((scores,), findings, study, {"activation_norm": (other,), "zero_ablation": (other,)}, {})
    return dict(paper_figures(report))


def sizes(pdf: bytes) -> list[float]:
    """The sizes of type on the page in points: of each text its font's, times how much it is enlarged."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        found, scale, font = [], 1.0, 0.0
        for operands, operator in pikepdf.parse_content_stream(document.pages[0]):
            name = str(operator)
            if name == "Tf":
                font = float(operands[1])
            elif name == "Tm":
                scale = float(np.hypot(float(operands[0]), float(operands[1])))
            elif name == "BT":
                scale = 1.0
            elif name in ("Tj", "TJ"):
                found.append(font * scale)
        types = {str(f["/Subtype"]) for f in document.pages[0].Resources.get("/Font", {}).values()}
    assert "/Type3" not in types
    return found


def width(pdf: bytes) -> float:
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return float(document.pages[0].MediaBox[2]) / 72


@pytest.mark.parametrize("venue", ["acl", 3.3])
def test_every_figure_fits_the_venue_and_can_be_read(venue: str | float) -> None:
    files, wide = drawn(venue), venues.widths(venue)
    for kind, inches in wide.items():
        names = {
            n.removeprefix("figures/paper/").removesuffix(f"-{kind}.pdf") for n in files if n.endswith(f"-{kind}.pdf")
        }
        assert names >= DRAWN
        assert len([n for n in names if n.startswith("task-") and n != "task-similarity"]) == len(NAMES)
        for name in names:
            stem = f"figures/paper/{name}-{kind}"
            assert width(files[f"{stem}.pdf"]) <= inches + 1e-3, stem
            written = sizes(files[f"{stem}.pdf"])
            assert written, stem
            assert min(written) >= 6 - 1e-3, (stem, min(written))
            picture = Image.open(io.BytesIO(files[f"{stem}.png"]))
            assert picture.width == pytest.approx(300 * width(files[f"{stem}.pdf"]), abs=1)
            measured = ET.fromstring(files[f"{stem}.svg"]).get("width", "")
            assert float(measured.removesuffix("pt")) == pytest.approx(72 * width(files[f"{stem}.pdf"]), abs=0.1)
        assert width(files[f"figures/paper/overview-{kind}.pdf"]) == pytest.approx(inches, abs=1e-3)


def test_hostile_names_are_drawn_too() -> None:
    for name, content in drawn(3.1, HOSTILE).items():
        if name.endswith(".pdf"):
            assert width(content) <= 3.1 + 1e-3
            assert min(sizes(content)) >= 6 - 1e-3


def test_nothing_is_written_out_of_a_column() -> None:
    """Beside the figure there is nothing: the PNG's outermost pixels are blank."""
    for name, content in drawn("acl").items():
        if name.endswith(".png"):
            pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
            assert (pixels[:, [0, -1]] > 250).all(), name
            assert (pixels[[0, -1]] > 250).all(), name


@pytest.mark.parametrize(
    ("given", "known"), [("NeurIPS", "neurips"), (" acl ", "acl"), ("3.3", 3.3), ("5.5in", 5.5), (4, 4.0)]
)
def test_venues_and_widths_as_they_are_given(given: str | float, known: str | float) -> None:
    assert venues.read(given) == known


@pytest.mark.parametrize("given", ["chi", "1in", "99", "nan", "-3", "inf"])
def test_a_venue_nobody_knows_is_refused_with_the_known_ones(given: str) -> None:
    raw = {"scores": {"path": "scores.csv"}, "report": {"venue": given}}
    with pytest.raises(InputError) as caught:
        parse_study(raw, "study.toml", Path())
    assert caught.value.location == "study.toml: [report] venue"
    assert all(name in str(caught.value) for name in venues.VENUES)
    assert re.search(r"or a width of 2 to 12 inches", str(caught.value))


def test_every_venue_says_where_its_widths_are_from() -> None:
    for venue in venues.VENUES.values():
        assert re.match(r"[\w.]+\.sty", venue.source)
        assert 3 <= venue.column <= venue.text <= 7
