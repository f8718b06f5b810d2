import base64
import io
import re
import subprocess
import sys

import numpy as np
import pikepdf
import pytest
from made_reports import build, make_scores, make_study
from PIL import Image

from reportgen.errors import MissingResourceError
from reportgen.rendering.pdf import document as module
from reportgen.rendering.pdf import typeset
from reportgen.rendering.pdf.weasyprint_adapter import IndexedImage
from reportgen.rendering.plots.canvas import png

pytestmark = pytest.mark.pdf


@pytest.fixture(scope="module")
def document(printed):
    with pikepdf.open(printed / "report.pdf") as document:
        yield document


def test_attachments_are_the_files(document, printed):
    names = ["study.toml", "scores.csv", "findings.json", "manifest.json", "scores.safetensors"]
    assert sorted(document.attachments) == sorted(names)
    for name in names:
        assert document.attachments[name].get_file().read_bytes() == (printed / name).read_bytes()


def test_tagged_titled_and_outlined(document):
    assert document.Root.MarkInfo.Marked
    assert str(document.Root.Lang) == "en"
    assert str(document.docinfo["/Title"]) == "A study of heads"
    assert str(document.docinfo["/CreationDate"]).startswith("D:20231114")
    with document.open_outline() as outline:
        titles = [item.title for item in outline.root]
    assert titles[:4] == ["A study of heads", "How to read this report", "Task by task", "Across tasks"]


def test_claims_both_standards_once(document):
    with document.open_metadata() as metadata:
        assert metadata["pdfaid:part"] == "3"
        assert metadata["pdfaid:conformance"] == "A"
        assert metadata["{http://www.aiim.org/pdfua/ns/id/}part"] == "1"


def test_fonts_are_embedded_and_none_is_type_3(document):
    fonts = [o for o in document.objects if isinstance(o, pikepdf.Dictionary) and o.get("/Type") == "/Font"]
    assert fonts
    assert {str(f.Subtype) for f in fonts} <= {"/Type0", "/CIDFontType2", "/CIDFontType0", "/TrueType"}
    descriptors = [
        o for o in document.objects if isinstance(o, pikepdf.Dictionary) and o.get("/Type") == "/FontDescriptor"
    ]
    assert all("/FontFile2" in d or "/FontFile3" in d for d in descriptors)


def test_images_are_not_smoothed(document):
    images = [o for o in document.objects if isinstance(o, pikepdf.Stream) and o.get("/Subtype") == "/Image"]
    assert images
    assert not any(bool(i.get("/Interpolate", False)) for i in images)


def test_images_keep_their_palette_and_every_pixel(document, printed):
    """The PDF's images are figures' own, each once, index and palette where the PNG has one."""
    codes = {
        base64.b64decode(code)
        for file in (printed / "figures").glob("*.svg")
        for code in re.findall(r'data:image/png;base64,([^"]+)', file.read_text())
    }
    known = {np.asarray(Image.open(io.BytesIO(code)).convert("RGB")).tobytes() for code in codes}
    streams = [o for o in document.objects if isinstance(o, pikepdf.Stream) and o.get("/Subtype") == "/Image"]
    assert all(str(s.ColorSpace[0]) == "/Indexed" for s in streams)
    images = [np.asarray(pikepdf.PdfImage(s).as_pil_image().convert("RGB")).tobytes() for s in streams]
    assert len(images) == len({*images}) > 6  # a map of each task, and the colour bar
    assert known.issuperset(images)


def test_an_image_of_too_many_colours_for_a_palette_stays_in_full_colour():
    pixels = np.arange(3 * 400, dtype=np.uint32).astype(np.uint8).reshape(20, 20, 3)
    pixels[..., 0] = np.arange(20)[:, None]
    image = IndexedImage("image:0", png(pixels))
    document = pikepdf.new()
    made = image.get_x_object(False, 1)
    stream = pikepdf.Stream(document, made.stream[0])
    for key in ("Width", "Height", "BitsPerComponent"):
        stream[f"/{key}"] = made.extra[key]
    assert made.extra["ColorSpace"] == "/DeviceRGB"
    stream.Subtype, stream.ColorSpace, stream.Filter = map(pikepdf.Name, ("/Image", "/DeviceRGB", "/FlateDecode"))
    stream.DecodeParms = pikepdf.Dictionary(Predictor=15, Columns=20, Colors=3)
    assert np.array_equal(np.asarray(pikepdf.PdfImage(stream).as_pil_image()), pixels)
    assert image.get_intrinsic_size(1, 0) == (20, 20, 1)


def test_missing_pango_leaves_the_page(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(MissingResourceError) as error:
        build(tmp_path, make_scores())
    assert error.value.exit_code == 3
    assert typeset.INSTALL in str(error.value)
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "manifest.json").exists()
    assert not (tmp_path / "report.pdf").exists()


def test_weasyprints_own_banner_is_not_printed(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "weasyprint.py").write_text('print("-----")\nraise OSError("cannot load library")\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingResourceError, match="WeasyPrint does not load"):
        typeset.load_weasyprint()
    assert capsys.readouterr().out == ""


def test_a_missing_font_leaves_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "font_files", lambda: ["/fonts/DejaVuSans.ttf"])
    with pytest.raises(MissingResourceError) as error:
        build(tmp_path, make_scores(("One",), (2, 2)))
    assert str(error.value) == (
        "report.pdf: the PDF cannot be made: matplotlib’s font STIXGeneral.ttf is missing. Run `pip install "
        "--force-reinstall matplotlib` and render again; every other file is complete."
    )
    assert error.value.exit_code == 3
    assert (tmp_path / "report.html").exists()
    assert not (tmp_path / "report.pdf").exists()


def test_letter_paper(tmp_path):
    build(
        tmp_path, make_scores(("One",), (2, 2)), study=make_study(formats=["pdf"], page="Letter", sections=["overview"])
    )
    assert not (tmp_path / "report.html").exists()
    with pikepdf.open(tmp_path / "report.pdf") as document:
        assert [float(x) for x in document.pages[0].MediaBox] == [0, 0, 612, 792]


def test_the_paper_theme_is_in_two_columns(tmp_path):
    pages, across = {}, {}
    for theme in ("archive", "paper"):
        build(tmp_path / theme, make_scores(), study=make_study(formats=["pdf"], theme=theme))
        command = ["pdftotext", "-bbox", str(tmp_path / theme / "report.pdf"), "-"]
        every = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("<page ")
        pages[theme], words = len(every), "".join(every[3:])
        spans = [(float(a), float(b)) for a, b in re.findall(r'xMin="([\d.]+)"[^>]* xMax="([\d.]+)"', words)]
        across[theme] = sum(a < 595 / 2 < b for a, b in spans) / len(spans)
    assert pages["paper"] <= pages["archive"]
    assert across["paper"] < across["archive"] / 2  # words that lie across the middle of the appendix’s pages
