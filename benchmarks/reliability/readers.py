"""Everything of reportgen that reads a file which somebody else may have made, each with whole files to start from.

One record a reader: ``seeds`` are well-formed files (bytes), ``read`` reads one. A folder's reader gets the folder's
other files beside the one that is tried.
"""

import atexit
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from reportgen.archive.index import index
from reportgen.archive.verify import verify
from reportgen.core.config import ScoresSection, TasksSection
from reportgen.core.config_file import load_study
from reportgen.core.findings import from_json
from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, split_halves
from reportgen.importers import load_blocks
from reportgen.pipeline.build import build
from reportgen.scoring.data.tasks import read_tasks
from reportgen.storage.json_files import read_json
from reportgen.storage.scores_file import scores_bytes, scores_csv

ROOT = Path(__file__).resolve().parents[2]
EPOCH = "1767225600"
PLACE = "/dev/shm" if Path("/dev/shm").is_dir() else None  # files in memory, where there is such a place


@dataclass(frozen=True)
class Reader:
    """A reader of files called ``name``: its seeds as functions, so that only what is tried is made."""

    title: str
    name: str
    seeds: tuple[Callable[[], bytes], ...]
    read: Callable[[Path], object]


def small_scores(tasks: int = 2, layers: int = 4, heads: int = 4, examples: int = 6) -> HeadScores:
    """Scores with examples, a planted cluster and a synthetic label."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 0.5, (tasks, examples, layers, heads)).astype(np.float32)
    values[:, :, 1:3, 1:3] += 3
    ids = tuple(str(i) for i in range(examples))
    kept = tuple(Examples(v, ids, ids, split_halves(ids, 0, ordered=False), False) for v in values)
    names = tuple(Task(f"Task {t}", n=examples) for t in range(tasks))
    return HeadScores(values.mean(1), names, Method("gate_gradient"), Model(), kept, synthetic=True)


@cache
def report_folder() -> Path:
    """A whole report of small scores, made once a process; those that it forks share it."""
    os.environ["SOURCE_DATE_EPOCH"] = EPOCH
    folder = Path(tempfile.mkdtemp(prefix="reportgen-reliability-", dir=PLACE))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "scores.csv").write_text(scores_csv(small_scores()))
    build(folder / "scores.csv", folder / "report")
    return folder / "report"


def of_report(name: str) -> Callable[[], bytes]:
    """A file of the report."""
    return lambda: (report_folder() / name).read_bytes()


@cache
def bare_pdf() -> bytes:
    """The report's PDF without its pages: the same attachments, in a hundredth of the objects to parse."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    writer.add_metadata({"/Creator": "reportgen"})
    for name, contents in PdfReader(io.BytesIO(of_report("report.pdf")())).attachments.items():
        writer.add_attachment(name, contents[0])
    return _saved(writer.write)


def _saved(save: Callable[..., object], *args: object, **kwargs: object) -> bytes:
    out = io.BytesIO()
    save(out, *args, **kwargs)
    return out.getvalue()


def _arrays() -> dict[str, np.ndarray]:
    return {
        "importance": small_scores().importance,
        "tasks": np.array(["Recall", "Math"]),
        "examples_0": small_scores().examples[0].values,
    }


def _torch(content: object) -> bytes:
    import torch

    return _saved(lambda out: torch.save(content, out))


def _tensor(*shape: int) -> bytes:
    import torch

    return _torch(torch.rand(*shape))


def _parquet(columns: dict[str, list[object]]) -> bytes:
    import pandas as pd

    return _saved(lambda out: pd.DataFrame(columns).to_parquet(out))


def _tidy() -> dict[str, list[object]]:
    cells = [(t, x, y) for t in ("Recall", "Math") for x in range(3) for y in range(4)]
    return {
        "task": [c[0] for c in cells],
        "layer": [c[1] for c in cells],
        "head": [c[2] for c in cells],
        "importance": [0.1 * n for n in range(len(cells))],
    }


def _safetensors() -> bytes:
    from safetensors.numpy import save

    return save({"Recall": np.ones((3, 4), np.float32), "Math": np.zeros((3, 4), np.float32)})


TASKS = {
    "task": ["Recall", "Math"],
    "prompt": ["The capital of France is", "2 + 2 ="],
    "answer": ["Paris", "4"],
    "id": ["a", "b"],
    "group": ["g", "h"],
    "foil": ["Rome", "5"],
}
JSONL = b"\n".join(
    json.dumps({k: v[i] for k, v in TASKS.items()} | {"choices": ["Paris", "4"]}).encode() for i in range(2)
)
TABLE = b'task,prompt,answer,choices\nRecall,"a, b",c,"[""c"",""d""]"\n'
COGQA = json.dumps(
    [
        {
            "question": "Q?",
            "answer": "A",
            "generated": [
                {"subquestion": "S?", "answer": "a", "cognitive_skill": "Retrieval"},
                {"subquestion": "T?", "answer": 7, "cognitive_skill": "Inference"},
            ],
        }
    ]
).encode()
HEADS = json.dumps({f"{x}-{y}": [0.0, 0.25, 1.0] for x in range(3) for y in range(4)}).encode()
MIRRORS = json.dumps({"Recall": [[i, i / 12] for i in range(12)], "Math": [[i, -i] for i in range(12)]}).encode()
GATES = "\n".join("\t".join(f"{(x * 4 + y) / 12:.3f}" for y in range(4)) for x in range(3)).encode()
SIZE = {"layers": 3, "heads": 4}


def _scores(**section: object) -> Callable[[Path], object]:
    return lambda path: load_blocks(path, ScoresSection(path=path, **section))  # type: ignore[arg-type]


def _tasks(form: str | None = None) -> Callable[[Path], object]:
    return lambda path: read_tasks(TasksSection(path=path, format=form))  # type: ignore[arg-type]


def _in_report(path: Path) -> Path:
    """The report with this one file exchanged; files that are only read share their bytes on disk."""
    folder = path.parent / "site" / "report"
    if not folder.exists():
        shutil.copytree(report_folder(), folder, copy_function=os.link)
        (folder / "report.pdf").unlink()
        (folder / "report.pdf").write_bytes(bare_pdf())
    target = folder / path.name
    target.unlink(missing_ok=True)
    shutil.copyfile(path, target)
    return folder


def _indexed(path: Path) -> object:
    _in_report(path)
    return index(path.parent / "site")


def _study(name: str) -> Callable[[], bytes]:
    return lambda: (ROOT / name).read_bytes()


PDFS = (of_report("report.pdf"), *[bare_pdf] * 7)  # one in eight whole: pypdf takes a tenth of a second for its objects
READERS: tuple[Reader, ...] = (
    Reader(
        "study.toml",
        "study.toml",
        (_study("sample_data/study.toml"), _study("sample_data/figure/study.toml"), of_report("study.toml")),
        load_study,
    ),
    Reader("tasks, JSON lines", "tasks.jsonl", (lambda: JSONL,), _tasks()),
    Reader("tasks, CSV", "tasks.csv", (lambda: TABLE,), _tasks()),
    Reader("tasks, Parquet", "tasks.parquet", (lambda: _parquet(TASKS),), _tasks()),  # type: ignore[arg-type]
    Reader("tasks, CogQA", "tasks.json", (lambda: COGQA,), _tasks("cogqa")),
    Reader("scores, CSV", "scores.csv", (lambda: scores_csv(small_scores()).encode(),), _scores()),
    Reader("scores, Parquet", "scores.parquet", (lambda: _parquet(_tidy()),), _scores()),
    Reader(
        "scores, npz",
        "scores.npz",
        (lambda: _saved(np.savez, **_arrays()), lambda: _saved(np.savez_compressed, **_arrays())),
        _scores(),
    ),
    Reader("scores, npy", "scores.npy", (lambda: _saved(np.save, np.ones((3, 4))),), _scores()),
    Reader("scores, safetensors", "others.safetensors", (_safetensors,), _scores()),
    Reader("scores, own safetensors", "scores.safetensors", (lambda: scores_bytes(small_scores()),), _scores()),
    Reader("scores, PyTorch", "scores.pt", (lambda: _tensor(3, 4),), _scores()),
    Reader("scores, Retrieval Head", "heads.json", (lambda: HEADS,), _scores()),
    Reader("scores, Cognitive Mirrors", "mirrors.json", (lambda: MIRRORS,), _scores(**SIZE)),
    Reader("scores, DuoAttention", "full_attention_heads.tsv", (lambda: GATES,), _scores()),
    Reader("scores, bertology", "head_importance.npy", (lambda: _saved(np.save, np.ones((3, 4))),), _scores()),
    Reader("scores, Function Vectors", "antonym_indirect_effect.pt", (lambda: _tensor(2, 3, 4),), _scores()),
    Reader(
        "findings.json",
        "findings.json",
        (of_report("findings.json"),),
        lambda path: from_json(read_json(path), str(path)),
    ),
    Reader(
        "manifest.json in verify",
        "manifest.json",
        (of_report("manifest.json"),),
        lambda path: verify(_in_report(path), quick=True),
    ),
    Reader("manifest.json in index", "manifest.json", (of_report("manifest.json"),), _indexed),
    Reader("PDF in verify", "report.pdf", PDFS, lambda path: verify(path, quick=True)),
    Reader("PDF as scores", "report.pdf", PDFS, _scores()),
)


def quiet() -> None:
    """Silence what libraries say of broken files; a campaign reads a million."""
    warnings.simplefilter("ignore")
