"""Templates that are not ours are filled in a process of their own, with limits on time, memory and output.

What goes to that process is a template's name and its values; what comes back is text, and nothing that runs.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Timer
from time import monotonic
from types import ModuleType
from typing import IO, Any
from weakref import finalize

from reportgen.errors import InputError, MissingResourceError, ReportgenError

# Time and memory are those that docs/extending.md allows a template.
SECONDS = 10  # a template may take, however often it is filled
MORE = 0.05  # seconds that it may take beyond them each time: large reports have thousands of findings
MEMORY = 2**30  # bytes that it may take beyond what its process had before
OUTPUT = 2**26  # bytes that may come of it, beyond those of its values
STARTING = 120  # seconds until the process is ready: a machine may be slow
TOO_LARGE = f"takes more than {MEMORY // 2**30} GiB of memory"
HEAD = 8  # bytes that say how long an answer is
HINT = "Mend the template, or leave it out"
# First of all Ctrl-C is left to the process that waits; then nothing is imported but from where that one does.
_BOOT = """import pickle, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from reportgen.core.confined import serve
serve()"""
Fill = Callable[[str, Any], str]  # a template's name and its values, to text
# {"text": …}, or {"error": [problem, location, hint]}; a text alone says which limit was passed
Answer = dict[str, str | list[str]] | str


class Confined:
    """A process that fills templates; it is started by the first and ends with this object.

    ``service`` is ``module:function``, which makes of ``setting`` what fills a template; ``location`` says whose
    templates they are, ``called`` what they are called.
    """

    def __init__(self, service: str, setting: object, location: str, called: str = "the template") -> None:
        self._service, self._setting, self._location, self._called = service, setting, location, called
        self._process: subprocess.Popen[bytes] | None = None
        self._left: dict[str, float] = {}  # seconds, by template

    def __call__(self, name: str, values: object) -> str:
        """Fill the template of that name; raises InputError that names it where it fails or passes a limit."""
        request = pickle.dumps((name, values))
        most = OUTPUT + len(request)
        if self._process is None:
            self._start()
        left, begun = self._left.get(name, SECONDS) + MORE, monotonic()
        answer = self._answer(pickle.dumps(most) + request, left, most)
        self._left[name] = left - (monotonic() - begun)
        if isinstance(answer, str):
            raise InputError(" ".join(filter(None, [self._called, name, answer])), self._location, HINT)
        if "error" in answer:
            raise InputError(*answer["error"])
        return str(answer["text"])

    def _start(self) -> None:
        if not Path(sys.executable or "").is_file():
            problem, hint = "templates need a process of their own, and there is no Python to start", "Leave them out"
            raise MissingResourceError(problem, "templates", hint)
        command = [sys.executable, "-P", "-c", _BOOT]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "USE_TORCH": "0"}
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env)
        finalize(self, _end, process)
        self._process = process
        ready = self._answer(pickle.dumps(sys.path) + pickle.dumps((self._service, self._setting)), STARTING, OUTPUT)
        if ready != {"text": ""}:
            reason = ready if isinstance(ready, str) else ready.get("error", ready)
            raise MissingResourceError(f"the process that fills templates does not start ({reason})", "templates", HINT)

    def _answer(self, request: bytes, seconds: float, most: int) -> Answer:
        """Return what the process answers, or which limit it passed: then it is ended, and the next call starts one."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        late: list[bool] = []

        def stop() -> None:
            late.append(True)
            process.kill()

        timer = Timer(seconds, stop)
        timer.start()
        answer: Answer | None = None
        try:
            process.stdin.write(request)
            process.stdin.flush()
            length = int.from_bytes(process.stdout.read(HEAD), "big")
            if length > 6 * most + 2**16:  # as JSON, a character takes six bytes at most
                answer = _too_long(most)
            elif length and len(text := process.stdout.read(length)) == length:
                answer = json.loads(text.decode("utf-8", "surrogatepass"))
        except (OSError, ValueError):
            pass  # it has ended
        finally:
            timer.cancel()
        if isinstance(answer, dict) and not late:
            return answer
        _end(process)
        self._process = None
        if late or process.returncode == -signal.SIGXCPU:
            return f"takes more than {SECONDS} s"
        return answer if isinstance(answer, str) else TOO_LARGE


def _too_long(most: int) -> str:
    return f"makes more than {most / 2**20:.0f} MiB of text"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            if stream is not None:
                stream.close()
    process.wait()


def serve() -> None:
    """Be the process that fills templates, until the one that asks ends or a limit is passed."""
    stream, answer = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no answer
    service, setting = pickle.load(stream)
    module, _, function = service.partition(":")
    try:
        fill: Fill = getattr(import_module(module), function)(setting)
    except Exception as error:
        _send(answer, {"error": [f"{type(error).__name__}: {error}", service, HINT]})
        return
    _send(answer, {"text": ""})
    limit_memory()
    with suppress(EOFError):
        while True:
            _send(answer, _filled(fill, stream))


def _filled(fill: Fill, stream: IO[bytes]) -> Answer:
    """Return the answer to the next request; a text says which limit was passed."""
    name = ""
    try:
        most = pickle.load(stream)
        name, values = pickle.load(stream)
        _limit_time()
        text = fill(name, values)
        return {"text": text} if len(text) <= most else _too_long(most)
    except MemoryError:
        return TOO_LARGE
    except EOFError:
        raise
    except ReportgenError as error:
        return {"error": [error.problem, error.location, error.hint]}
    except RecursionError:
        return {"error": ["the template fails (it calls itself without end)", name, HINT]}
    except Exception as error:
        from reportgen.core.sandbox import broken

        failure = broken(error, name)
        return {"error": [failure.problem, failure.location, failure.hint]}


def _resource() -> ModuleType | None:
    """Return the module that bounds a process; None on Windows, where the parent's bound on time is left."""
    try:
        return import_module("resource")
    except ImportError:
        return None


def limit_memory() -> None:
    """Bound memory from here on; no file is written, and no memory is either where it all ends."""
    if (resource := _resource()) is None:
        return
    with suppress(OSError, ValueError):  # systems without /proc, or that bound no address space
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))


def _limit_time() -> None:
    """Bound the processor's time too: the process that would stop this one may be gone."""
    if (resource := _resource()) is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS + 2, hard))


def _send(stream: IO[bytes], answer: Answer) -> None:
    text = json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream.write(len(text).to_bytes(HEAD, "big") + text)
    stream.flush()
