"""What the adapters rely on in other packages, so that a version that moves it fails here by name."""

import ast
import inspect
import tomllib
import zlib
from importlib import metadata
from pathlib import Path

import matplotlib.backends.backend_svg as svg
import pydyf
import pytest
import weasyprint
from matplotlib.textpath import text_to_path
from packaging.requirements import Requirement
from weasyprint.images import RasterImage
from weasyprint.pdf.metadata import DocumentMetadata
from weasyprint.pdf.stream import Stream
from weasyprint.svg import SVG, TAGS
from weasyprint.svg.text import text

from reportgen.rendering.pdf.compact import compress_once
from reportgen.rendering.pdf.weasyprint_adapter import IndexedImage, SvgImage
from reportgen.rendering.plots.canvas import Canvas

ROOT = Path(__file__).parents[2]


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("package", ["matplotlib", "weasyprint", "pydyf", "pylatexenc"])
def test_the_version_has_an_upper_bound_and_is_the_one_tried(package: str) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (requirement,) = (r for r in map(Requirement, wanted) if r.name == package)
    assert any(bound.operator == "<" for bound in requirement.specifier), f"{package} has no upper bound"
    assert requirement.specifier.contains(metadata.version(package))


@pytest.mark.parametrize("image", [IndexedImage, SvgImage])
def test_weasyprint_asks_of_an_image_what_ours_answer(image: type) -> None:
    for method in ("get_intrinsic_size", "draw", "get_x_object"):
        if hasattr(image, method):
            assert len(parameters(getattr(image, method))) == len(parameters(getattr(RasterImage, method))), method


def test_weasyprint_places_images_and_drawings_as_they_are_placed() -> None:
    assert parameters(Stream.add_image) == ["self", "image", "interpolate", "ratio"]
    assert parameters(Stream.transform) == ["self", "a", "b", "c", "d", "e", "f"]
    assert callable(Stream.draw_x_object)
    assert parameters(SVG.__init__) == ["self", "tree", "url", "font_config", "url_fetcher"]
    assert parameters(SVG.draw) == ["self", "stream", "concrete_width", "concrete_height", "base_url", "context"]
    assert TAGS["text"] is text
    assert parameters(text) == ["svg", "node", "font_size"]
    assert parameters(DocumentMetadata.generate_rdf_metadata) == ["self", "variant", "version", "conformance"]
    assert "url_fetcher" in parameters(weasyprint.HTML.__init__)


def test_a_streams_bytes_are_compressed_as_they_are() -> None:
    parts = [b"q", b"Q >>\nstream\n endstream"]  # words that end a stream's dictionary and content stand within it too
    stream, pdf = pydyf.Stream(parts, {"Type": "/XObject"}, compress=True), pydyf.PDF()
    pdf.add_object(stream)
    compress_once(None, pdf)
    assert zlib.decompress(b"".join(stream.stream)) == b"\n".join(parts)
    assert b"/FlateDecode" in stream.data
    assert not stream.compress


def test_matplotlib_writes_the_svg_that_is_rewritten() -> None:
    canvas = Canvas(2, 1)
    canvas.text(0.1, 0.5, "Layer")
    canvas.text_up(0.1, 0.5, "Head")
    with canvas.part("cells"):
        canvas.rectangle(0, 0, 1, 1, "#ff0000")
    drawn = canvas.svg("test", "A title")
    for gone in ("style=", "<defs>", "<metadata>", " id=", 'pt"'):
        assert gone not in drawn, gone
    for there in ('class="cells"', ' x="', "<title>A title</title>", 'fill="#ff0000"', ">Layer</text>"):
        assert there in drawn, there
    assert {"width", "height", "svgwriter", "image_dpi", "metadata"} <= {*parameters(svg.RendererSVG.__init__)}
    assert parameters(text_to_path.get_text_width_height_descent) == ["s", "prop", "ismath"]


def private_names(path: Path) -> list[str]:
    """The names with an underscore that a module takes from packages other than this one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    foreign = {
        (alias.asname or alias.name).split(".")[0]
        for n in imports
        for alias in n.names
        if (n.module if isinstance(n, ast.ImportFrom) else alias.name).split(".")[0] != "reportgen"
    }
    taken = [alias.name for n in imports for alias in n.names] + [
        n.module for n in imports if isinstance(n, ast.ImportFrom) and n.module
    ]
    taken += [
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in foreign
    ]
    taken = [name for name in taken if name != "_exit"]  # of os, and documented
    return [name for name in taken if any(p.startswith("_") and not p.startswith("__") for p in name.split("."))]


@pytest.mark.parametrize("folder", ["rendering", "archive", "analysis", "core", "cli"])
def test_no_module_takes_a_private_name_of_another_package(folder: str) -> None:
    found = {str(p): names for p in (ROOT / "reportgen" / folder).rglob("*.py") if (names := private_names(p))}
    assert found == {}
