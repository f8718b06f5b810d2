"""The page: opened, read and linked as people and programs do."""

import html as entities
import itertools
import re

import pytest
from made_reports import HOSTILE, build, make_scores, make_study, text_of

from reportgen.errors import InputError
from reportgen.rendering.sections.common import SECTIONS


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def page(request, browser, report):
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.messages, page.requests = [], []
    page.on("console", lambda m: page.messages.append(m.text))
    page.on("pageerror", lambda e: page.messages.append(str(e)))
    page.on("request", lambda r: page.requests.append(r.url))
    page.goto((report / "report.html").as_uri())
    yield page
    context.close()


def test_opens_without_errors_or_requests(page):
    assert page.messages == []
    assert [u for u in page.requests if not u.startswith(("file:", "data:"))] == []
    assert page.locator("h1").inner_text() == "A study of heads"


@pytest.mark.parametrize("width", [375, 768, 1280, 1920])
def test_no_horizontal_scroll(browser, report, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((report / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_dark_scheme_is_dark_and_drawn(browser, report):
    page = browser.new_page(color_scheme="dark")
    page.goto((report / "report.html").as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    assert page.evaluate("getComputedStyle(document.querySelector('svg text[fill=\"#24292f\"]')).fill") == (
        "rgb(227, 230, 234)"
    )
    assert len(page.screenshot()) > 20_000
    page.close()


CONTRAST = """() => {
  const lum = c => { const v = c.map(x => x / 255).map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
                     return .2126 * v[0] + .7152 * v[1] + .0722 * v[2] };
  const rgb = s => (s.match(/[\\d.]+/g) || []).map(Number);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                        if (c.length === 3 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
  const bad = [];
  for (const e of document.querySelectorAll('main *, nav *, header *, footer *')) {
    if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = lum(rgb(getComputedStyle(e).color)), b = lum(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push([e.className, e.textContent.slice(0, 30), ratio]);
  }
  return bad }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser, report, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto((report / "report.html").as_uri())
    assert page.evaluate(CONTRAST) == []
    page.close()


def test_every_link_resolves_and_ids_are_unique(report):
    page = text_of(report)
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'\shref="([^"]*)"', page)
    assert targets
    assert [t for t in targets if not (t[1:] in ids if t.startswith("#") else (report / t).is_file())] == []


def test_headings_skip_no_level(report):
    levels = [int(n) for n in re.findall(r"<h([1-6])", text_of(report))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_figures_and_tables_are_described(report):
    page = text_of(report)
    page = page.split('<script type="application/json"')[0]
    svgs = [svg for svg in re.findall(r"<svg.*?</svg>", page, re.S) if 'aria-hidden="true"' not in svg]
    assert len(svgs) == page.count('<svg role="img"') == page.count("<figcaption>")
    assert all(re.search(r"<title>.{40}", svg, re.S) for svg in svgs)
    assert len(re.findall("<table[ >]", page)) == page.count("<caption>")
    assert not re.search(r"<th(?![^>]*scope=)[ >]", page)


def test_hostile_names_stay_text(report):
    page = text_of(report)
    catalogue, data = '<script type="application/ld+json">', '<script type="application/json" id="report-data">'
    assert re.findall("<script[^>]*>", page) == [catalogue, data, "<script>"]
    assert page.count(entities.escape(HOSTILE[0])) >= 3
    assert "Content-Security-Policy" in page


def test_same_text_with_what_the_study_says(report):
    page = text_of(report)
    assert "Not above chance." in page
    assert "q = 0.0020" in page
    assert "Synthetic scores" not in page
    assert re.search(r">\s*95 % interval\s*<", page)


def test_synthetic_scores_say_so_first(tmp_path):
    scores = make_scores(synthetic=True)
    build(tmp_path, scores, study=make_study(formats=["html"]))
    page = text_of(tmp_path)
    assert page.index("Synthetic scores: no model was measured") < page.index("<main")


def test_interpretation_and_sections_can_be_chosen(tmp_path):
    study = make_study(
        formats=["html"], interpretation=False, sections=["overview", "key_observations", "interpretation"]
    )
    build(tmp_path, make_scores(), study=study)
    page = text_of(tmp_path)
    assert re.findall(r'<section id="([^"]*)"', page) == ["overview", "key-observations"]
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert all(t[1:] in ids for t in re.findall(r'\shref="(#[^"]*)"', page))


def test_an_unknown_section_names_the_nearest():
    with pytest.raises(InputError) as error:
        SECTIONS.chosen(["overveiw"], "[report] sections")
    assert str(error.value) == "[report] sections: no section is called 'overveiw'. Did you mean 'overview'?"


def test_every_section_file_is_listed():
    import pkgutil

    from reportgen.rendering import sections

    names = {m.name for m in pkgutil.iter_modules(sections.__path__)} - {"common"}
    assert names == {s.name for s in SECTIONS.own()}


def test_templates_can_be_overridden(tmp_path):
    (tmp_path / "mine" / "sections").mkdir(parents=True)
    (tmp_path / "mine" / "sections" / "limits.j2").write_text("<p>our own limits</p>")
    build(tmp_path / "out", make_scores(), study=make_study(formats=["html"], templates=tmp_path / "mine"))
    assert "our own limits" in text_of(tmp_path / "out")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("<p>\n{{ synthetc }}</p>", "line 2: the template fails ('synthetc' is undefined). Mend the template."),
        (
            "{% for x in y %}",
            "line 1: the template fails (Unexpected end of template. Jinja was looking for the "
            "following tags: 'endfor' or 'else'. The innermost block that needs to be closed is 'for'.). "
            "Mend the template.",
        ),
    ],
)
def test_a_broken_template_is_told_with_file_line_and_name_before_a_page_is_written(tmp_path, template, message):
    file = tmp_path / "mine" / "sections" / "limits.j2"
    file.parent.mkdir(parents=True)
    file.write_text(template)
    with pytest.raises(InputError) as error:
        build(tmp_path / "out", make_scores(), study=make_study(formats=["html"], templates=tmp_path / "mine"))
    assert str(error.value) == f"{file}, {message}"
    assert not (tmp_path / "out" / "report.html").exists()
