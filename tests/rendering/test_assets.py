"""A page whose script, style and images lie beside it, for hosts that forbid them within a page."""

import functools
import http.server
import io
import re
import threading
import xml.etree.ElementTree as ET
from base64 import b64encode
from html.parser import HTMLParser

import numpy as np
import pytest
from made_reports import HOSTILE, build, make_scores, make_study
from PIL import Image

from reportgen.archive.verify import verify
from reportgen.errors import InputError
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.run_directory import manifest_in

XLINK = "{http://www.w3.org/1999/xlink}href"
ROWS = [f"{task},{i},{j},{0.5 + i / 9 + j / 99}" for task in "ab" for i in range(3) for j in range(3)]
TAKEN = {"scores.csv", "findings.json", "cite.txt"}  # what a reader may take along lies beside the page in any case
OUTSIDE = ("../beside", "/tmp/beside", ".", ".hidden", "a/../../b", "figures", "report.html", "a b")


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        folder = tmp_path_factory.mktemp("beside")
        build(folder, make_scores(("Recall", *HOSTILE)), study=make_study(formats=["html"], assets="page/files"))
    return folder


@pytest.fixture(scope="module")
def host(beside):
    """A host that forbids everything within a page, as Jenkins does."""

    class Strict(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("Content-Security-Policy", "default-src 'self'")
            super().end_headers()

        def log_message(self, *_):
            pass

    handler = functools.partial(Strict, directory=str(beside))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/report.html"
        server.shutdown()


@pytest.fixture(params=["strict host", "file"])
def address(request, beside, host):
    return host if request.param == "strict host" else (beside / "report.html").as_uri()


@pytest.fixture
def opened(browser):
    contexts = []

    def opened(address, script=True):
        contexts.append(browser.new_context(java_script_enabled=script, viewport={"width": 1280, "height": 900}))
        page = contexts[-1].new_page()
        page.messages, page.requests = [], []
        page.on("console", lambda m: page.messages.append(m.text))
        page.on("pageerror", lambda e: page.messages.append(str(e)))
        page.on("requestfailed", lambda r: page.messages.append(r.url))
        page.on("request", lambda r: page.requests.append(r.url))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()


class Parts(HTMLParser):
    """What a policy of 'self' would forbid in a page, and what the page refers to."""

    def __init__(self, text):
        super().__init__()
        self.forbidden, self.named = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.forbidden.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on") or (name in ("src", "href", "xlink:href") and ":" in value):
                self.forbidden.append((tag, name, value))
            elif name in ("src", "href", "xlink:href") and not value.startswith("#"):
                self.named.add(value)


def test_nothing_stands_in_the_page_that_a_policy_of_self_forbids(beside):
    text = (beside / "report.html").read_text(encoding="utf-8")
    page = Parts(text)
    assert page.forbidden == []
    own = {p.relative_to(beside).as_posix() for p in (beside / "page").rglob("*") if p.is_file()}
    assert page.named == own | TAKEN
    assert len([name for name in page.named if name.endswith(".png")]) > 3
    assert page.named <= manifest_in(beside)["files"].keys()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].replace("&#39;", "'") == (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self'; style-src 'self'; script-src 'self'"
    )


def test_without_its_script_the_page_is_styled_and_its_images_are_shown(opened, address):
    page = opened(address, script=False)
    assert page.messages == []
    assert sum(url.endswith(".png") for url in page.requests) > 3
    assert page.locator("h1").inner_text() == "A study of heads"
    assert page.locator(".plot").first.evaluate("e => getComputedStyle(e).position") == "relative"


def test_with_its_script_heads_are_told_and_views_changed_and_saved(opened, address):
    page = opened(address)
    page.wait_for_selector("html[data-ready]")
    overview = page.locator("#figure-overview")
    own = overview.locator(".plot").screenshot()
    overview.locator(".panel").first.focus()
    page.keyboard.press("ArrowRight")
    assert "L0H1" in page.locator(".readout").inner_text()
    page.keyboard.press("Escape")
    assert overview.locator(".export button").all_inner_texts() == ["SVG", "PNG", "CSV", "Enlarge"]
    before = images(saved(page, overview))
    assert len(before) > 3
    assert all(image.startswith("data:image/png;base64,") for image in before)

    page.locator(".view summary").click()
    page.get_by_label("Colours").select_option("cividis")
    shown = overview.locator(".plot").screenshot()
    after = images(saved(page, overview))
    assert_the_png_shows_the_svg(opened, page, overview)
    assert len(after) == len(before)
    assert not set(after) & set(before)
    assert overview.locator("canvas").count() == len(after)
    assert shown != own

    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("() => document.querySelectorAll('canvas').length === 0")
    assert images(saved(page, overview)) == before
    assert page.messages == []


def test_a_changed_view_shows_what_a_self_contained_page_shows(opened, host, tmp_path):
    build(tmp_path, make_scores(("Recall", *HOSTILE)), study=make_study(formats=["html"]))
    shots = []
    for where in (host, (tmp_path / "report.html").as_uri()):
        page = opened(where)
        page.wait_for_selector("html[data-ready]")
        page.locator(".view summary").click()
        page.get_by_label("Colours").select_option("gray")
        page.evaluate("document.querySelector('#figure-overview').scrollIntoView()")
        shots.append(page.locator("#figure-overview .plot").screenshot())
    assert pixels(shots[0]).shape == pixels(shots[1]).shape
    assert (abs(pixels(shots[0]) - pixels(shots[1])) > 24).mean() < 0.03  # lines one pixel wide, where cells meet


def pixels(shot):
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def assert_the_png_shows_the_svg(opened, page, figure):
    """Held against Chromium's own picture of the SVG, both a quarter as large: edges of letters may differ."""
    png = Image.open(io.BytesIO(saved(page, figure, "PNG")))
    image = f"<img src='data:image/svg+xml;base64,{b64encode(saved(page, figure)).decode()}'>"
    drawn = opened("about:blank")
    drawn.set_viewport_size({"width": png.width, "height": png.height})
    drawn.set_content(f"<style>* {{ margin: 0 }} img {{ display: block; width: {png.width}px }}</style>{image}")
    svg = Image.open(io.BytesIO(drawn.screenshot()))
    assert svg.size == png.size
    small = [np.asarray(i.convert("L").resize((i.width // 4, i.height // 4), Image.Resampling.BOX)) for i in (png, svg)]
    apart = abs(np.subtract(*small, dtype=float))
    assert (apart > 64).mean() < 0.0006


def saved(page, figure, way="SVG"):
    with page.expect_download() as download:
        figure.locator(".export button", has_text=way).click()
    return download.value.path().read_bytes()


def images(svg):
    return [image.get(XLINK) for image in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}image")]


def made(tmp_path, **values):
    (tmp_path / "scores.csv").write_text("\n".join(["task,layer,head,importance", *ROWS]))
    overrides = {"report.formats": ["html"], "analysis.permutations": 999, **values}
    return pipeline.build(tmp_path / "scores.csv", tmp_path / "out", overrides=overrides).folder


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_report_with_assets_is_verified_and_made_again_to_the_byte(tmp_path):
    folder = made(tmp_path, **{"report.assets": "beside"})
    found = verify(folder)
    assert found.differences == []
    assert "beside/heatmap.js, made again" in {check.what for check in found.checks}
    (folder / "beside" / "report.css").write_text("body { display: none }")
    assert [(c.what, c.wrong) for c in verify(folder, quick=True).differences if c.what.startswith("beside/")] == [
        ("beside/report.css", "its bytes are not those that the manifest records")
    ]


def test_assets_of_an_earlier_rendering_do_not_stay(tmp_path):
    folder = made(tmp_path, **{"report.assets": "scores-page"})
    moved = made(tmp_path, **{"report.assets": "other", "report.colormap": "gray"})
    assert not [name for name in files_of(folder) if name.startswith("scores-page/")]
    named = Parts((moved / "report.html").read_text(encoding="utf-8")).named
    assert named - TAKEN == {name for name in files_of(moved) if name.startswith("other/")}
    plain = made(tmp_path, **{"report.assets": ""})
    assert not [name for name in files_of(plain) if name.startswith("other/")]
    assert "<style>" in (plain / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("assets", OUTSIDE)
def test_a_folder_that_is_not_the_reports_own_is_refused_before_anything_is_written(tmp_path, assets):
    with pytest.raises(InputError) as error:
        made(tmp_path, **{"report.assets": assets})
    assert str(error.value) == (
        f"{tmp_path / 'scores.csv'} with --set: [report] assets: assets lie in a folder of the report, named in "
        "letters, digits, - and _ (with / between folders), other than figures, tables and templates "
        f"(got {assets!r}). "
        "Change the value; `reportgen schema study` shows what is allowed."
    )
    assert not (tmp_path / "out").exists()


def test_a_link_out_of_the_report_and_a_file_of_that_name_are_refused(tmp_path):
    folder = made(tmp_path)
    before = files_of(folder)
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError) as error:
        made(tmp_path, **{"report.assets": "linked"})
    assert str(error.value) == (
        f"{folder / 'linked'}: a link leads out of the report's folder. Choose another folder with --assets."
    )
    (folder / "linked").unlink()
    (folder / "taken").write_text("mine")
    with pytest.raises(InputError) as error:
        made(tmp_path, **{"report.assets": "taken"})
    assert str(error.value) == (
        f"{folder / 'taken'}: this is a file, not a folder. Choose another folder with --assets."
    )
    assert files_of(folder) == {**before, "taken": b"mine"}
