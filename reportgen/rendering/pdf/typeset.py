"""From a printed page to the bytes of a PDF/A-3a and PDF/UA-1, by WeasyPrint; imports nothing that a page is made with.

So that a process of its own can do it, which loads WeasyPrint while another still makes the page.
"""

import gc
import io
import logging
import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from reportgen.core.confined import limit_memory
from reportgen.errors import InputError, MissingResourceError, ReportgenError
from reportgen.rendering.pdf.compact import compress_once, images_by_address
from reportgen.rendering.pdf.weasyprint_adapter import IndexedImage, SvgImage, claim_pdf_ua

if TYPE_CHECKING:
    from weasyprint import Attachment
    from weasyprint.document import Document
    from weasyprint.urls import URLFetcher

INSTALL = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
VARIANT = "pdf/a-3a"
UNSEALED = b"0" * 64  # the identifier that a PDF is hashed with
# The pages before the appendix, how they are marked with the step of making less of them, the last step, and what
# the appendix begins with.
BEFORE, FIT, STEPS, APPENDIX = ("first", "second"), 'class="{}" data-fit="{}"', 3, '<div class="appendix"'


@contextmanager
def no_collection() -> Iterator[None]:
    """Hold the cyclic garbage collector off: layout makes many long-lived boxes, and walking them costs a quarter."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _overfull(document: "Document") -> list[str]:
    """Return which of the two pages before the appendix need more than a page each; none of others' making, which may
    not mark where they end.
    """
    ends = [[i for i, page in enumerate(document.pages) if f"{name}-end" in page.anchors] for name in BEFORE]
    before = [-1, *(each[0] for each in ends if each)]
    return [name for name, end, last in zip(BEFORE, ends, before, strict=False) if all(ends) and end[0] > last + 1]


class Typesetter:
    """WeasyPrint with the fonts of a report, and with nothing else that it may read.

    ``faces`` is the style sheet that names the fonts, ``files`` are theirs. Raises MissingResourceError where
    WeasyPrint or Pango does not load.
    """

    def __init__(self, faces: str, files: set[Path]) -> None:
        self.weasyprint = load_weasyprint()
        self.fetcher = _closed_fetcher(files)
        self.fonts = self.weasyprint.text.fonts.FontConfiguration()
        self.faces = self.weasyprint.CSS(string=faces, font_config=self.fonts, url_fetcher=self.fetcher)

    @no_collection()
    def laid_out(self, html: str) -> "Document":
        """Return the page laid out on paper: what stands before its appendix, on two pages.

        Where it does not fit there, the style sheet makes less of it, a step at a time.
        """
        text, images = images_by_address(html, self.fonts)
        document = self._rendered(text, images)
        steps = dict.fromkeys(_overfull(document), 0)
        while over := [name for name in _overfull(document) if steps.setdefault(name, 0) < STEPS]:
            for name in over:
                steps[name] += 1
                text = text.replace(FIT.format(name, steps[name] - 1), FIT.format(name, steps[name]), 1)
            document = self._rendered(text.partition(APPENDIX)[0], images)
        return self._rendered(text, images) if steps else document

    def _rendered(self, text: str, images: "Mapping[str, IndexedImage | SvgImage]") -> "Document":
        page = self.weasyprint.HTML(string=text, url_fetcher=self.fetcher, base_url=None)
        return page.render(font_config=self.fonts, stylesheets=[self.faces], pdf_variant=VARIANT, cache=dict(images))

    @no_collection()
    def written(self, document: "Document", files: Mapping[str, bytes], moment: datetime) -> bytes:
        """Return the document as a PDF that carries ``files``, dated ``moment``, with UNSEALED as its identifier."""
        document.metadata.created = document.metadata.modified = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        document.metadata.attachments = [_attachment(self.weasyprint, *file, moment) for file in files.items()]
        claim_pdf_ua(document.metadata)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # WeasyPrint leaves its colour profile open
            made: bytes = document.write_pdf(pdf_variant=VARIANT, pdf_identifier=UNSEALED, finisher=compress_once)
        return made


@no_collection()
def serve() -> None:
    """Be the process that makes a PDF: fonts, page, and attachments with their moment in; bytes or an error out.

    It ends when the process that asked does.
    """
    stream, answer = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    try:
        faces, fonts, bounded = pickle.load(stream)
        typesetter = Typesetter(faces, fonts)
        if bounded:
            limit_memory()
        document = typesetter.laid_out(pickle.load(stream))
        made: bytes | Exception = typesetter.written(document, *pickle.load(stream))
    except EOFError:
        return
    except ReportgenError as error:
        made = error
    except MemoryError:
        hint = "Mend its templates and style sheet, or build without them"
        made = InputError("laying out its page takes too much memory", "[report] templates", hint)
    except Exception as error:
        made = RuntimeError("".join(traceback.format_exception(error)))
    with suppress(BrokenPipeError):
        pickle.dump(made, answer)
        answer.flush()
    os._exit(0)  # what it holds is freed faster by the system than piece by piece


def load_weasyprint() -> ModuleType:
    """Return the package; raises MissingResourceError where it or Pango does not load."""
    try:
        with redirect_stdout(io.StringIO()):  # its banner about missing libraries has no place in what we print
            import_module("weasyprint.text.fonts")
            weasyprint = import_module("weasyprint")
    except (ImportError, OSError) as error:
        problem = f"the PDF cannot be made: WeasyPrint does not load ({str(error).splitlines()[0]})"
        raise MissingResourceError(
            problem, "report.pdf", f"Run `{INSTALL}` and render again; every other file is complete"
        ) from error
    # Unsupported screen-only CSS is not worth a line on the user's terminal.
    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return weasyprint


def _closed_fetcher(files: set[Path]) -> "URLFetcher":
    from weasyprint.urls import URLFetcher

    allowed = {path.as_uri() for path in files}

    class Closed(URLFetcher):  # type: ignore[misc]
        """Reads the shipped fonts and data URLs, nothing else."""

        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> object:
            if url in allowed or url.startswith("data:"):
                return super().fetch(url, headers)
            raise ValueError(f"a report loads nothing from outside: {url}")

    return Closed()


def _attachment(weasyprint: ModuleType, name: str, content: bytes, moment: datetime) -> "Attachment":
    source = name == "study.toml" or name.endswith((".safetensors", ".j2"))
    return weasyprint.Attachment(
        string=content,
        name=name,
        relationship="Source" if source else "Data",
        created=moment,
        modified=moment,
        description=f"{name} of this report",
    )
