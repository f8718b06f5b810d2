import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
# the files that take long, roughly from the longest on
LONGEST = (
    "test_foreign_templates.py",
    "test_damaged_fields.py",
    "test_cli.py",
    "test_plugins.py",
    "test_ray_cluster.py",
    "test_broken_plugins.py",
    "test_growth.py",
    "test_streams.py",
    "test_hostile_files.py",
    "test_resume.py",
    "test_true_and_planted_heads.py",
    "test_encoders.py",
    "test_stage.py",
    "test_long_runs.py",
    "test_remake.py",
    "test_architectures.py",
    "test_verify.py",
    "test_sample.py",
    "test_kill.py",
    "test_full_disk.py",
    "test_plugins_everywhere.py",
    "test_docs.py",
    "test_patterns.py",
    "test_compare.py",
    "test_anonymous.py",
    "test_standards.py",
    "test_venues.py",
    "test_pdf.py",
    "test_page.py",
    "test_heatmap_script.py",
    "test_latex.py",
    "test_pdf_process.py",
    "test_memory.py",
    "test_probe.py",
    "test_transformer_lens.py",
    "test_html.py",
    "test_alone.py",
    "test_taken_elsewhere.py",
)
# fixture: the marker of every test that uses it
MARKERS = {"browser": "browser", "whole": "pdf", "printed": "pdf"}
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and in commands: the last bits hinge on the threads


# a suite that a shell started in the background has interrupts ignored, and so would the commands that tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use; let the longest files begin, so that two processes end alike."""
    for item in items:
        for fixture in MARKERS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKERS[fixture])
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture
def published() -> Path:
    """The folder of published scores and tasks, which no licence lets us copy: its tests run only beside it."""
    if not SHARED.is_dir():
        pytest.skip(f"published data is absent: {SHARED} does not exist")
    return SHARED


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the caller's changes what the tests see."""
    for name in ("SOURCE_DATE_EPOCH", "REPORTGEN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def browser():
    from playwright import sync_api

    if not Path("/usr/bin/chromium").exists():
        pytest.fail("Chromium is missing: apt-get install chromium (make test does this where it may)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield chromium
        chromium.close()
