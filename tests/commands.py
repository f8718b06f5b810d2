"""Commands in processes of their own, forked from one that has imported what they need.

``run`` is ``python -m reportgen`` with its exit code and streams, but for Python's start and the imports, which take
longer than most commands. What an interpreter reads as it starts (PYTHONHASHSEED, PYTHONPATH, closed streams, ignored
signals) needs a process from the ground: ``started``.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

PRELOADED = [
    "reportgen.cli.main",
    "reportgen.pipeline.stages",
    "reportgen.rendering.render",
    "reportgen.archive.verify",
    "reportgen.analysis.analyze",
    "reportgen.scoring.score",
    "reportgen.validation.validate",
    "scipy.stats",
    "pandas",
    "transformers",
]
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(PRELOADED)


def started(
    *words: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None, limit: float = 300
) -> "subprocess.CompletedProcess[str]":
    """Run a command in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-m", "reportgen", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        timeout=limit,
        check=False,
    )


def run(
    *words: object, cwd: Path | None = None, environment: Mapping[str, str] | None = None, limit: float = 300
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a fork; raises TimeoutExpired after ``limit`` seconds."""
    arguments = list(map(str, words))
    with tempfile.TemporaryDirectory() as folder:
        streams = [str(Path(folder, name)) for name in ("out", "err")]
        where, variables = str(cwd or Path.cwd()), {**os.environ, **(environment or {})}
        process = processes.Process(target=_command, args=(arguments, where, variables, *streams))
        process.start()
        process.join(limit)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(arguments, limit)
        out, err = (Path(name).read_bytes().decode() for name in streams)
    return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _command(words: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> NoReturn:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    # of files, as of pipes, standard output is filled block by block and standard error line by line
    sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(1, "w", closefd=False), open(2, "w", 1, closefd=False)  # noqa: SIM115
    sys.argv = ["reportgen", *words]
    from reportgen.cli.main import main

    main()
