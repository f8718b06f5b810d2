"""Output and errors that are closed, full, cut off or of ASCII alone; signals near the end; links to nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import commands
import pytest
import readers

pytestmark = pytest.mark.slow

FULL = (
    "reportgen: standard output: cannot write (No space left on device). Free space there, or send it elsewhere; files "
    "that were written are complete."
)
COMMANDS = {
    "help": ["--help"],
    "version": ["--version"],
    "detectors": ["detectors"],
    "schema": ["schema", "findings"],
    "verify": ["verify", "REPORT", "--quick"],
    "explain": ["explain", "REPORT", "FINDING"],
    "index": ["index", "SITE"],
    "analyze": ["analyze", "REPORT", "-o", "REPORT"],
}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands for the words in capitals."""
    site = tmp_path_factory.mktemp("site")
    (site / "scores.csv").write_text(readers.scores_csv(readers.small_scores()))
    made = site / "report"
    run = commands.run("build", site / "scores.csv", "-o", made, "--quiet", "--set", 'report.formats=["html"]')
    assert run.returncode == 0, run.stderr
    first = json.loads((made / "findings.json").read_text())["findings"][0]["id"]
    return {"REPORT": str(made), "SITE": str(site), "FINDING": first}


def shell(command: str, words: dict[str, str], how: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in bash, its output and errors redirected as ``how`` says."""
    line = " ".join([sys.executable, "-m", "reportgen", *(words.get(w, w) for w in COMMANDS[command])])
    return subprocess.run(
        ["bash", "-c", f"{line} {how}"], env={**os.environ, **environment}, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_is_told(command: str, words: dict[str, str]) -> None:
    done = shell(command, words, "> /dev/full")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (3, FULL)


# one place stands for all commands: each is tried in two ways, and two of them in all
HOW = (">&-", "| true; exit ${PIPESTATUS[0]}", "2>&-", "<&- >&- 2>&-", "2>/dev/full")
TRIED = [(c, how) for c in COMMANDS for how in (HOW if c in ("help", "explain") else HOW[:2])]


@pytest.mark.parametrize(("command", "how"), TRIED)
def test_streams_that_nobody_reads_change_nothing(command: str, how: str, words: dict[str, str]) -> None:
    done = shell(command, words, how)
    codes = {"help": (0, 1), "verify": (4,)}  # click ends with 1 there; --quick does not verify all
    assert done.returncode in codes.get(command, (0,)), done.stderr
    assert "this is a fault of reportgen" not in done.stderr + done.stdout


ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(("command", "environment"), [*((c, ASCII) for c in COMMANDS), ("detectors", C_LOCALE)])
def test_an_output_of_ascii_shows_other_letters_as_escapes(
    command: str, environment: dict[str, str], words: dict[str, str]
) -> None:
    done = shell(command, words, "", **environment)
    assert done.returncode == (4 if command == "verify" else 0), done.stderr
    assert done.stdout.isascii()


def test_json_is_whole_in_ascii_too(words: dict[str, str]) -> None:
    done = shell("detectors", words, "--json", PYTHONIOENCODING="ascii")
    assert r"\u00d7" in done.stdout
    assert json.loads(done.stdout) == json.loads(shell("detectors", words, "--json").stdout)


@pytest.mark.parametrize("said", ["abc", "1e9", "-5", "1.5", "9" * 30, "253402300800", "٣"])
@pytest.mark.parametrize("command", ["verify", "index", "analyze", "explain"])
def test_a_moment_that_is_none_is_refused(said: str, command: str, words: dict[str, str]) -> None:
    done = commands.run(*(words.get(w, w) for w in COMMANDS[command]), environment={"SOURCE_DATE_EPOCH": said})
    hint = "Set it to whole seconds since 1970, or unset it."
    assert done.returncode == 2
    assert done.stderr == f"reportgen: environment variable SOURCE_DATE_EPOCH: {said!r} is no moment. {hint}\n"


@pytest.mark.parametrize(
    "variables",
    [
        {"SOURCE_DATE_EPOCH": ""},
        {"REPORTGEN_CACHE": "~nobody-of-that-name/x"},
        {"REPORTGEN_CACHE": "/dev/null"},
        {"XDG_CACHE_HOME": "~nobody-of-that-name"},
        {"REPORTGEN_CACHE": "x" * 5000},
    ],
)
def test_other_settings_of_the_environment_are_no_fault(
    variables: dict[str, str], words: dict[str, str], tmp_path: Path
) -> None:
    done = commands.run("verify", words["REPORT"], cwd=tmp_path, environment=variables)
    assert done.returncode in (0, 4), done.stderr


MOMENTS = (
    "import reportgen.cli.main as c; c.app = lambda **_: c.atexit.register(end) and 0",
    "import reportgen.cli.main as c; c.app = lambda **_: end() or 0",
    "import reportgen.cli.main as c; c.app = lambda **_: swallowed() or 0",
    "sys.modules['last'] = Last()",
)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_near_the_end(moment: str, number: int) -> None:
    code = f"""
import os, sys

def end():
    os.kill(os.getpid(), {int(number)})

def swallowed():
    try:
        end()
    except BaseException:
        pass

class Last:
    def __del__(self, end=end):
        end()

{moment}
sys.argv = ["reportgen", "--version"]
from reportgen.cli.main import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    # while Python takes itself down, when all is done and told, the signal is too late to matter
    assert done.returncode == (0 if "Last" in moment else 130), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", ["build SCORES -o", "analyze SCORES -o", "analyze REPORT -o", "init", "compare REPORT REPORT -o"]
)
@pytest.mark.parametrize("within", ["", "/further/in"])
def test_a_link_to_nothing_is_no_output(command: str, within: str, words: dict[str, str], tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    places = {**words, "SCORES": f"{words['SITE']}/scores.csv"}
    done = commands.run(*(places.get(w, w) for w in command.split()), f"{link}{within}")
    hint = "Make that folder, remove the link, or choose another with -o."
    told = f"reportgen: {link}: this is a link to nowhere, which does not exist. {hint}"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, told)
