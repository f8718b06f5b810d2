"""Whatever names and metadata say: no script of theirs runs, nothing is fetched, nothing of a model is executed."""

import csv
import http.server
import json
import pickle
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import commands
import numpy as np
import pytest
import readers

from reportgen.pipeline import build as pipeline
from reportgen.rendering.pdf.document import pdf

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAMES = (
    "<script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 1">',
    "</script><script>window.ran = 1</script>",
    "javascript:window.ran = 1",
    "{{ 7 * 7 }}{% raw %}",
    '=HYPERLINK("http://localhost/")',
    "\\input{/etc/passwd}",
    "&lt;b&gt; \u202egnp.exe",
    "]]><svg onload=window.ran=1>",
)
LISTEN = """
window.broken = [];
document.addEventListener("securitypolicyviolation", e => window.broken.push(e.violatedDirective + " " + e.sourceFile));
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which everything that a user can name is named to do harm."""
    folder = tmp_path_factory.mktemp("content")
    values = np.random.default_rng(0).lognormal(0, 0.5, (len(NAMES), 4, 4))
    with (folder / "scores.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["task", "layer", "head", "importance"])
        rows.writerows([NAMES[t], x, y, values[t, x, y]] for t, x, y in np.ndindex(*values.shape))
    quoted = json.dumps(NAMES[0] + NAMES[1])
    text = f"""[study]
title = {quoted}
authors = [{quoted}, {json.dumps(NAMES[6])}]
notes = {quoted}
[scores]
path = "scores.csv"
method = {quoted}
unit = {json.dumps(NAMES[2])}
"""
    (folder / "study.toml").write_text(text)
    return pipeline.build(folder, folder / "out").folder


def test_no_script_of_a_name_runs(built: Path, browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("dialog", lambda d: said.append(d.message))
    page.on("pageerror", lambda e: said.append(str(e)))
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.add_init_script(LISTEN)
    page.goto((built / "report.html").as_uri())
    for cell in page.query_selector_all("[tabindex='0']")[:40]:
        cell.focus()
    assert page.evaluate("() => window.ran === undefined")
    assert page.evaluate("() => window.broken") == [], "a script was there, though the policy stopped it"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    page.close()


def test_the_policy_reports_a_script_that_is_not_ours(built: Path, browser, tmp_path: Path) -> None:
    """What the test before looks for is seen where it is there."""
    text = (built / "report.html").read_text()
    (tmp_path / "report.html").write_text(text.replace("</body>", NAMES[0] + "</body>", 1))
    page = browser.new_page()
    page.add_init_script(LISTEN)
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("() => window.ran === undefined")
    assert len(page.evaluate("() => window.broken")) == 1
    page.close()


def test_cells_that_begin_like_formulas_are_inert(built: Path) -> None:
    for path in (built / "tables").glob("*.csv"):
        for row in csv.reader(path.read_text().splitlines()):
            assert not [cell for cell in row if cell[:1] in ("=", "+", "@", "\t") or (cell[:1] == "-" and "(" in cell)]


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and the addresses that were asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()
        thread.join()


def test_the_pdf_reads_no_file_and_no_network(server: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = server
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET-OF-THIS-MACHINE")
    picture = tmp_path / "secret.svg"
    picture.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text y="9">SECRET-OF-THIS-MACHINE</text></svg>')
    inner = (
        f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{picture.as_uri()}'/><image href='{address}/b'/></svg>"
    )
    html = f"""<html lang="en"><head><title>t</title><link rel="stylesheet" href="{address}/a.css">
<style>@import url("{address}/c.css"); body {{ background: url({address}/d.png) }}
@font-face {{ font-family: f; src: url("{secret.as_uri()}") }}</style>
<link rel="attachment" href="{secret.as_uri()}"></head><body><p>text</p>
<img alt="a" src="{picture.as_uri()}"><img alt="b" src="{address}/e.png"><img alt="c" src="data:image/svg+xml,{inner}">
<object data="{secret.as_uri()}"></object><a rel="attachment" href="{secret.as_uri()}">x</a></body></html>"""
    (tmp_path / "made.pdf").write_bytes(pdf(html, {}))
    text = subprocess.run(["pdftotext", tmp_path / "made.pdf", "-"], capture_output=True, text=True, check=True).stdout
    assert "text" in text
    assert "SECRET" not in text
    assert b"SECRET" not in (tmp_path / "made.pdf").read_bytes()
    import pypdf

    assert not pypdf.PdfReader(tmp_path / "made.pdf").attachments
    assert asked == []


class _Runs:
    def __reduce__(self):
        return (open, ("RAN", "w"))


@pytest.mark.parametrize("harm", ["code of its own", "pickled weights"])
def test_nothing_of_a_model_folder_is_executed(harm: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(ROOT / "sample_data" / "model", model)
    if harm == "code of its own":
        config = json.loads((model / "config.json").read_text())
        config |= {
            "auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"},
            "model_type": "evil",
        }
        (model / "config.json").write_text(json.dumps(config))
        (model / "evil.py").write_text("open('RAN', 'w')\n")
    else:
        for path in model.glob("*.safetensors*"):
            path.unlink()
        (model / "pytorch_model.bin").write_bytes(pickle.dumps(_Runs()))
    (tmp_path / "tasks.jsonl").write_bytes(readers.JSONL)
    (tmp_path / "study.toml").write_text('[model]\npath = "model"\n[tasks]\npath = "tasks.jsonl"\n')
    done = commands.run("score", ".", "-o", "out", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("RAN"))
    assert not (tmp_path / "out").exists()


def test_terminal_escapes_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text(json.dumps({"task": "a\x1b[2J", "prompt": "b", "answer": "c"}))
    (tmp_path / "study.toml").write_text('[model]\npath = "m\\u001b[31m"\n[tasks]\npath = "tasks.jsonl"\n')
    np.savez(tmp_path / "s\x1b[31m.npz", importance=np.ones((1, 2, 2)), tasks=np.array(["\x1b]0;x\x07"]))
    for source in (".", "s\x1b[31m.npz", "missing\x1b[31m.npz"):
        done = commands.run("build", source, "-o", "out", cwd=tmp_path)
        assert "\x1b" not in done.stdout + done.stderr, source
