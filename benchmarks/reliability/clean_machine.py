"""The README's two commands on a bare Debian, and on machines that lack something.

    python benchmarks/reliability/clean_machine.py PLACE [VARIANT...] [--whole]      # as root, with debootstrap and git

Below the folder PLACE a bare Debian 12 is made by debootstrap, with nothing but Python and make; every variant works on
a layer of its own above it, on a clone of the project's last commit. `make report` and `make test` run up to the end of
their installation; then the sample study is built on 8 examples a task, without validation, and a fast selection of the
tests runs (``--tests FILES``: others). With ``--whole`` both commands run as they are. What every command printed is in
PLACE/VARIANT.log. Writes benchmarks/results/clean_machine.json; ends with 1 where a check does not hold.
"""

import argparse
import json
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bare_root import ROOT, Bare, Ran, debootstrapped

RESULTS = ROOT / "benchmarks" / "results" / "clean_machine.json"
HOME = "/home/reader/reportgen"
ODD = "/home/reader/Größe und Maß/reportgen"
SELECTION = " ".join(
    f"tests/{name}"
    for name in (
        "test_architecture.py",
        "test_dependencies.py",
        "pipeline/test_store.py",
        "importers/test_arrays.py",
        "rendering/test_pdf.py",
        "reliability/test_hostile_content.py",
        "scoring/test_heads.py",
    )
)
SMALL = ".venv/bin/reportgen build sample_data -o out/sample --quiet --limit 8 --set validation.enabled=false"
PANGO = "dpkg --purge --force-depends libpango-1.0-0 libpangoft2-1.0-0"


class Machine(Bare):
    """A root whose commands are judged: each check is kept with what it was, whether it held, and its seconds."""

    def __init__(
        self, place: Path, name: str, below: list[Path], selection: str = SELECTION, whole: bool = False
    ) -> None:
        shutil.rmtree(place / name, ignore_errors=True)  # what an earlier run of the variant wrote
        super().__init__(place, name, below)
        self.name, self.log, self.selection, self.whole = name, place / f"{name}.log", selection, whole
        self.checks = list[dict[str, Any]]()
        self.log.unlink(missing_ok=True)

    def check(
        self,
        what: str,
        command: str,
        folder: str = HOME,
        *,
        code: int = 0,
        says: str = "",
        user: str = "reader",
        network: bool = True,
        **environment: str,
    ) -> Ran:
        """Run a command, which must end with ``code`` and print what the pattern ``says`` finds."""
        begun = time.monotonic()
        ran = self.run(command, folder, user=user, network=network, log=self.log, **environment)
        held = ran.code == code and re.search(says, " ".join(ran.told.split())) is not None
        self.checks.append({"what": what, "held": held, "seconds": round(time.monotonic() - begun)})
        self.checks[-1] |= {} if network else {"tries to reach a network": ran.tries}
        print(json.dumps({"variant": self.name, **self.checks[-1]}, ensure_ascii=False), flush=True)
        if not held:
            print(f"exit code {ran.code}; the end of what it printed:\n{ran.told[-2000:]}", file=sys.stderr, flush=True)
        return ran

    def with_project(self, folder: str = HOME) -> None:
        """A user without rights, and the project in a folder of theirs."""
        if self.run("id reader").code:
            self.run("useradd --create-home reader")
        self.clone(folder)
        self.run(f"chown -R reader:reader {shlex.quote(folder.rpartition('/')[0])}")

    def report_made(self, folder: str = HOME, **how: Any) -> None:
        """`make report` passes, and its report is whole."""
        if self.whole:
            self.check("make report", "make report", folder, **how)
        else:
            self.check("make report, the installation", "make .venv/.installed", folder, **how)
            self.check("the sample's report on 8 examples a task", SMALL, folder, **how)
        self.check("reportgen verify --quick", ".venv/bin/reportgen verify out/sample --quick --quiet", folder, **how)

    def tests_pass(self, folder: str = HOME, **how: Any) -> None:
        """`make test` passes."""
        if self.whole:
            self.check("make test", "make test", folder, says=r"\d+ passed", **how)
            return
        self.check("make test, the installation", "make .venv/.installed-test", folder, **how)
        command = f".venv/bin/python -m pytest -n 1 --dist loadfile -p no:cacheprovider {self.selection}"
        self.check("a selection of the tests", command, folder, says=r"\d+ passed", **how)


def reader(machine: Machine) -> None:
    """A user without root: the README's commands print what is missing, and go on once it is installed."""
    machine.with_project()
    for goal, named in (("report", "libpango-1.0-0.* python3-venv"), ("test", "chromium.* default-jdk-headless")):
        said = machine.check(
            f"make {goal} without root says what to install",
            f"make {goal}",
            code=2,
            says=f"Install them, then run the same command again: sudo .*{named}",
        )
        command = re.search(r"same command again: +(.*)", said.told)
        printed = command[1].replace("sudo ", "") if command else "false"
        machine.check("what it prints installs them", printed, user="root")
        machine.report_made() if goal == "report" else machine.tests_pass()


def root(machine: Machine) -> None:
    """Root itself, on the bare system: nothing is asked."""
    machine.clone("/srv/reportgen")
    machine.report_made("/srv/reportgen", user="root")
    machine.tests_pass("/srv/reportgen", user="root")


def pango(machine: Machine) -> None:
    """Without pango, all but the PDF is made, and the message says how to come by it."""
    machine.check("pango is taken away", PANGO, user="root")
    made = "rm -rf out/figure; .venv/bin/reportgen build sample_data/figure -o out/figure --quiet"
    says = "report.pdf: the PDF cannot be made: .*`apt-get install libpango-1.0-0.*complete.$"
    said = machine.check("reportgen build ends with 3 and says what to install", made, code=3, says=says)
    machine.check("the page is whole", "test -s out/figure/report.html && test ! -e out/figure/report.pdf")
    machine.check("make report names it", "rm .venv/.installed; make report", code=2, says="missing: libpango-1.0-0")
    command = re.search(r"`apt-get (install [^`]*)`", said.told)
    printed = f"apt-get -y {command[1]}" if command else "false"
    machine.check("what was printed installs it", printed, user="root")
    again = ".venv/bin/reportgen build sample_data/figure -o out/figure --quiet && test -s out/figure/report.pdf"
    machine.check("the same command then makes the PDF", again)


def chromium(machine: Machine) -> None:
    """Without Chromium, the tests that open the page fail and say so; none is skipped in silence."""
    machine.check("Chromium is taken away", "apt-get remove -y chromium", user="root")
    opening = ".venv/bin/python -m pytest -p no:cacheprovider -x tests/rendering/test_standards.py"
    says = "Chromium is missing: apt-get install"
    machine.check("the tests that open a page say what is missing", opening, code=1, says=says)
    machine.check("make test names it", "rm .venv/.installed-test; make test", code=2, says="missing: chromium")


def network(machine: Machine) -> None:
    """Without a network after the installation: nothing is looked up."""
    asked = machine.check("there is no network, and a try is seen", "! getent hosts deb.debian.org", network=False)
    assert asked.tries, "the kernel did not count a look-up"
    machine.check("what was made is taken away", "rm -rf out")
    machine.report_made(network=False)
    machine.tests_pass(network=False)
    machine.check("on Ray", f"{SMALL.replace('sample --quiet', 'ray --quiet')} --executor ray", network=False)


def path(machine: Machine) -> None:
    """A space and letters beyond ASCII in the path, and no locale set."""
    machine.with_project(ODD)
    machine.report_made(ODD)
    machine.tests_pass(ODD)


# each variant with the one above whose layer it works, "" for the bare system
VARIANTS: dict[str, tuple[Callable[[Machine], None], str]] = {
    "root": (root, ""),
    "reader": (reader, ""),
    "pango": (pango, "reader"),
    "chromium": (chromium, "reader"),
    "network": (network, "reader"),
    "path": (path, "reader"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", type=Path)
    parser.add_argument("variants", nargs="*", choices=[[], *VARIANTS])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--tests", default=SELECTION)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    place, base = chosen.place.resolve(), debootstrapped(chosen.place.resolve())
    results = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    for name in chosen.variants or VARIANTS:
        act, on = VARIANTS[name]
        below = [place / on / "written", base] if on else [base]
        machine = Machine(place, name, below, chosen.tests, chosen.whole)
        act(machine)
        results[name] = {"is": (act.__doc__ or "").strip(), "checks": machine.checks}
        chosen.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    sys.exit(not all(check["held"] for result in results.values() for check in result["checks"]))


if __name__ == "__main__":
    main()
