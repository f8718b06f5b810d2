"""Where the PDF is made: here, or in a process of its own while files are still written."""

import pickle
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Thread, Timer

from reportgen.errors import InputError, MissingResourceError
from reportgen.rendering.pdf.document import boxed, faces, font_paths, moment, pdf, sealed

LEAST, LETTERS_A_SECOND = 30, 5_000  # seconds that a page may take, and its letters for each that it may take more
TOO_LONG = "Mend its templates and style sheet, or build without them"
# Scores up to which two processes at once stay within the memory that is wanted, 400 MB (docs/report-cost.md)
LARGEST = 250_000
# First of all Ctrl-C is left to the process that waits; then nothing is imported but from where that one does.
_BOOT = """import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from reportgen.rendering.pdf.typeset import serve
serve()"""


class PdfMaker(AbstractContextManager["PdfMaker"]):
    """Makes the PDF when everything that it carries is there."""

    def __init__(self) -> None:
        self._html = ""

    def __exit__(self, *error: object) -> None:
        pass

    def begin(self, html: str) -> None:
        """Take the page."""
        self._html = html

    def finish(self, files: Mapping[str, bytes]) -> bytes:
        """Return the sealed PDF, which carries ``files``; raises MissingResourceError where it cannot be made."""
        return pdf(self._html, files)


class SeparatePdfMaker(PdfMaker):
    """Another process loads WeasyPrint meanwhile, and lays the page out as soon as it is there."""

    def __init__(self, bounded: bool = False) -> None:
        super().__init__()
        self._bounded, self._late, self._timer = bounded, False, Timer(0, self._stop)
        command = [sys.executable, "-P", "-c", _BOOT]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._missing: MissingResourceError | None = None
        self._sending = Thread(target=self._send, args=(sys.path,))
        self._sending.start()
        try:
            self._hand_on((faces(), set(font_paths().values()), bounded))
        except MissingResourceError as error:
            self._missing = error

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._sending.join()
        self._process.communicate()

    def begin(self, html: str) -> None:
        """Hand the page on."""
        if self._bounded:
            self._timer = Timer(LEAST + len(html) / LETTERS_A_SECOND, self._stop)
            self._timer.start()
        self._hand_on(boxed(html))

    def _stop(self) -> None:
        self._late = True
        self._process.kill()

    def finish(self, files: Mapping[str, bytes]) -> bytes:
        """Return the sealed PDF, which carries ``files``; raises MissingResourceError where it cannot be made."""
        if self._missing is not None:
            raise self._missing
        self._hand_on((dict(files), moment()))
        assert self._process.stdout is not None
        try:
            made = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            if self._late:
                raise InputError("laying out its page takes too long", "[report] templates", TOO_LONG) from None
            code = self._process.wait()
            how = f"signal {-code}" if code < 0 else f"code {code}"
            raise MissingResourceError(
                f"the PDF cannot be made: the process that lays it out ended with {how}",
                "report.pdf",
                "Look for what stopped it, such as a lack of memory, and render again; every other file is complete",
            ) from None
        if isinstance(made, BaseException):
            raise made
        return sealed(made)

    def _hand_on(self, content: object) -> None:
        """Send without waiting: the other process reads when it has come so far."""
        before = self._sending
        self._sending = Thread(target=self._send, args=(content, before))
        self._sending.start()

    def _send(self, content: object, after: Thread | None = None) -> None:
        assert self._process.stdin is not None
        if after is not None:
            after.join()
        with suppress(OSError):  # it has ended, which the answer's absence will say
            pickle.dump(content, self._process.stdin)
            self._process.stdin.flush()


def pdf_maker(scores: int, separate: bool, bounded: bool = False) -> PdfMaker:
    """Return what makes the PDF of so many scores: a process of its own where it is ``separate`` and they are few.

    ``bounded`` is one in which templates that are not ours may take only so much time and memory.
    """
    if bounded:
        return SeparatePdfMaker(bounded)
    return SeparatePdfMaker() if separate and scores <= LARGEST and Path(sys.executable or "").is_file() else PdfMaker()
