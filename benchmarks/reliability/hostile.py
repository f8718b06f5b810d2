"""Files made by hand to do harm: code in pickles, bombs, lying headers, names that climb, numbers that do not fit.

    python benchmarks/reliability/hostile.py

Each is read as fuzz.py reads its damaged files, in a process of limited memory; prints what became of each, and ends
with 1 where one was read, or ended in anything but a ReportgenError within 2 s and 500 MB.
"""

import io
import json
import os
import pickle
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import readers
from apart import apart
from fuzz import limit_memory, outcome

MARK = "REPORTGEN-CODE-RAN"  # a file of this name in the current folder would show that something was executed


@dataclass(frozen=True)
class Hostile:
    """A file that must be refused by the reader of that title (or, ``readable``, may be read as plain data)."""

    reader: str
    what: str
    make: Callable[[], bytes]
    readable: bool = False


class _Runs:
    """Unpickling this runs a command."""

    def __reduce__(self) -> Any:
        return (open, (MARK, "w"))


def _pickled_npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([_Runs()], dtype=object), allow_pickle=True)
    return out.getvalue()


def _torch_object() -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(_Runs(), out)
    return out.getvalue()


def _npy(shape: object, dtype: str = "<f8", body: bytes = b"") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def _zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _npz_bomb() -> bytes:
    return _zipped({"importance.npy": _npy((1, 5000, 10000), body=bytes(400_000_000))})


def _torch_bomb() -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(torch.zeros(3, 4), out)
    with zipfile.ZipFile(io.BytesIO(out.getvalue())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return _zipped({n: bytes(400_000_000) if n.endswith("data/0") else d for n, d in members.items()})


def _torch(content: object) -> bytes:
    import torch

    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _torch_stride() -> bytes:
    """One number that stands for 700 million."""
    import torch

    return _torch(torch.zeros(1).expand(27_000, 27_000))


def _torch_shared() -> bytes:
    """A list of lists of one tensor: four bytes of a pickle for each of 10^8."""
    import torch

    inner = [torch.zeros(3, 4)] * 10_000
    return _torch([inner] * 10_000)


def _conjugated() -> bytes:
    import torch

    return _torch(torch.zeros(3, 4, dtype=torch.complex64).conj())


def _text_bomb() -> bytes:
    """A text of a million letters, which a dictionary holds once, in 100,000 rows."""
    return _parquet_bomb({"task": "a" * 1_000_000, "layer": 0, "head": 0, "importance": 1.0}, rows=100_000)


def _parquet(task: str) -> bytes:
    import pandas as pd

    out = io.BytesIO()
    frame = pd.DataFrame({"task": [task], "layer": [0], "head": [0], "importance": [1.0]})
    frame.to_parquet(out, compression=None, write_statistics=False)
    return out.getvalue()


def _parquet_bomb(columns: dict[str, Any], rows: int = 20_000_000) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    values = {
        n: pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([v])) for n, v in columns.items()
    }
    out = io.BytesIO()
    parquet.write_table(pa.table(values), out, use_dictionary=True, compression="zstd")
    return out.getvalue()


def _safetensors(header: bytes, size: int | None = None, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header) if size is None else size) + header + body


def _tensor_of(shape: list[int], end: int) -> bytes:
    return json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()


def _manifest(**changes: Any) -> bytes:
    return json.dumps(json.loads(readers.of_report("manifest.json")()) | changes).encode()


def _own(**changes: Any) -> bytes:
    """Our own scores file with other metadata."""
    from safetensors import safe_open
    from safetensors.numpy import load, save

    data = readers.scores_bytes(readers.small_scores())
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        Path(file.name).write_bytes(data)
        with safe_open(file.name, framework="numpy") as opened:
            meta = json.loads(opened.metadata()["reportgen"])
    return save(load(data), metadata={"reportgen": json.dumps(meta | changes)})


def _pdf(attachments: dict[str, bytes], creator: str = "reportgen") -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.add_metadata({"/Creator": creator})
    for name, data in attachments.items():
        writer.add_attachment(name, data)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _attachments(**changes: bytes) -> dict[str, bytes]:
    names = ("manifest.json", "scores.safetensors", "findings.json", "study.toml")
    return {n: readers.of_report(n)() for n in names} | changes


def _pdf_bomb() -> bytes:
    import zlib

    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import NameObject, StreamObject

    writer = PdfWriter(PdfReader(io.BytesIO(_pdf(_attachments()))))
    for held in writer._objects:
        if isinstance(held, StreamObject) and held.get("/Type") == "/EmbeddedFile":
            held._data = zlib.compress(bytes(1_000_000_000), 9)
            held[NameObject("/Filter")] = NameObject("/FlateDecode")
            break
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _tidy(*rows: str) -> bytes:
    return ("task,layer,head,importance\n" + "\n".join(rows) + "\n").encode()


DEEP = 100_000
HOSTILE: tuple[Hostile, ...] = (
    Hostile("scores, npy", "a pickle that runs code", _pickled_npy),
    Hostile("scores, bertology", "a pickle that runs code", _pickled_npy),
    Hostile("scores, npy", "a bare pickle", lambda: pickle.dumps(_Runs())),
    Hostile("scores, npz", "a pickle that runs code", lambda: _zipped({"importance.npy": _pickled_npy()})),
    Hostile("scores, PyTorch", "a pickle that runs code", _torch_object),
    Hostile("scores, Function Vectors", "a pickle that runs code", _torch_object),
    Hostile("scores, PyTorch", "a bare pickle", lambda: pickle.dumps(_Runs())),
    Hostile("scores, npz", "a zip bomb of 400 MB", _npz_bomb),
    Hostile("scores, PyTorch", "a zip bomb of 400 MB", _torch_bomb),
    Hostile("scores, PyTorch", "one number for 700 million", _torch_stride),
    Hostile("scores, Function Vectors", "one number for 700 million", _torch_stride),
    Hostile("scores, PyTorch", "one tensor in 10^8 places", _torch_shared),
    Hostile("scores, PyTorch", "numbers that are conjugated as they are read", _conjugated),
    Hostile("scores, Parquet", "100,000 times a text of 1 MB", _text_bomb),
    Hostile(
        "scores, Parquet",
        "20 million rows in a few bytes",
        lambda: _parquet_bomb({"task": "a", "layer": 0, "head": 0, "importance": 1.0}),
    ),
    Hostile("scores, Parquet", "a text that is no UTF-8", lambda: _parquet("Math").replace(b"Math", b"Mat\x8d")),
    Hostile(
        "tasks, Parquet",
        "20 million rows in a few bytes",
        lambda: _parquet_bomb({"task": "a", "prompt": "b", "answer": "c"}),
    ),
    Hostile("PDF as scores", "an attachment that unpacks to 1 GB", _pdf_bomb),
    Hostile("PDF in verify", "an attachment that unpacks to 1 GB", _pdf_bomb),
    Hostile("scores, npy", "a header of 10 GB", lambda: _npy((50_000, 25_000))),
    Hostile("scores, npz", "a header of 10 GB", lambda: _zipped({"importance.npy": _npy((1, 50_000, 25_000))})),
    Hostile("scores, npy", "2^31 heads", lambda: _npy((1, 2**31))),
    Hostile("scores, npy", "a shape beyond 64 bits", lambda: _npy((2**40, 2**40))),
    Hostile("scores, npy", "a negative shape", lambda: _npy((-1, 4), body=bytes(32))),
    Hostile("scores, npy", "a type of 2 GB a cell", lambda: _npy((2, 2), dtype="V2147483647")),
    Hostile("scores, npy", "all NaN", lambda: _npy((2, 2), body=np.full(4, np.nan).tobytes())),
    Hostile("scores, npy", "infinite", lambda: _npy((2, 2), body=np.full(4, np.inf).tobytes())),
    Hostile("scores, npy", "NaN with a payload", lambda: _npy((2, 2), body=b"\xef\xbe\xad\xde\x00\x00\xf8\x7f" * 4)),
    Hostile("scores, npy", "code in the header", lambda: _npy("__import__('os').system('touch x')")),
    Hostile("scores, safetensors", "a header of 10 GB", lambda: _safetensors(b"{}", size=10**10)),
    Hostile("scores, safetensors", "a header of 2^63 bytes", lambda: _safetensors(b"{}", size=2**63)),
    Hostile("scores, safetensors", "a tensor of 10 GB", lambda: _safetensors(_tensor_of([50_000, 50_000], 10**10))),
    Hostile("scores, safetensors", "a shape beyond 64 bits", lambda: _safetensors(_tensor_of([2**40, 2**40], 16))),
    Hostile("scores, safetensors", "a deep header", lambda: _safetensors(b'{"a":' * DEEP)),
    Hostile("scores, own safetensors", "task names of another number", lambda: _own(tasks=[])),
    Hostile("scores, own safetensors", "a block without tensors", lambda: _own(blocks=["enc", "dec"])),
    Hostile("scores, own safetensors", "half a character", lambda: _own(method={"name": "\ud800"}, sha256="0" * 64)),
    Hostile("scores, own safetensors", "metadata that are a list", lambda: _own(model=[])),
    Hostile(
        "scores, own safetensors",
        "an example of another number",
        lambda: _own(examples=[{"ids": ["a"], "groups": ["a"], "discovery": [True], "ordered": False}] * 2),
    ),
    Hostile("scores, CSV", "2^31 heads", lambda: _tidy("a,0,2147483648,1")),
    Hostile("scores, CSV", "a lone head far out", lambda: _tidy("a,0,0,1", "a,99999,99999,1")),
    Hostile(
        "scores, CSV",
        "many examples of one head",
        lambda: (
            b"task,layer,head,importance,example\n"
            + b"".join(b"a,%d,%d,1,e0\n" % divmod(i, 300) for i in range(90_000))
            + b"".join(b"a,0,0,1,e%d\n" % i for i in range(1, 20_000))
        ),
    ),
    Hostile("scores, CSV", "an exponent beyond floats", lambda: _tidy("a,0,0,1e999")),
    Hostile("scores, CSV", "NUL characters", lambda: _tidy("a\x00b,0,0,1"), readable=True),
    Hostile("scores, CSV", "UTF-16", lambda: _tidy("a,0,0,1").decode().encode("utf-16"), readable=True),
    Hostile("scores, CSV", "Latin-1", lambda: _tidy("Müll,0,0,1").decode().encode("latin-1"), readable=True),
    Hostile("scores, CSV", "a BOM and CRLF", lambda: b"\xef\xbb\xbf" + _tidy("a,0,0,1").replace(b"\n", b"\r\n"), True),
    Hostile("scores, CSV", "an open quote over the whole file", lambda: _tidy('"a,0,0,1') + b"x" * 10_000_000),
    Hostile("scores, CSV", "a column twice", lambda: b"task,layer,head,importance,head\na,0,0,1,0\n"),
    Hostile("scores, Retrieval Head", "deep lists", lambda: b'{"0-0":' + b"[" * DEEP),
    Hostile("scores, Retrieval Head", "a key twice", lambda: b'{"0-0": [1], "0-0": [2]}'),
    Hostile("scores, Retrieval Head", "2^31 heads", lambda: b'{"0-2147483648": [1]}'),
    Hostile("scores, Retrieval Head", "a head far out", lambda: b'{"0-0": [1], "9999-9999": [1]}'),
    Hostile("scores, Retrieval Head", "NaN", lambda: b'{"0-0": [NaN]}'),
    Hostile("scores, Retrieval Head", "a number of 5,000 digits", lambda: b'{"0-0": [' + b"1" * 5000 + b"]}"),
    Hostile("scores, Cognitive Mirrors", "half a character as a name", lambda: b'{"\\ud800": [[0, 1]]}'),
    Hostile("scores, Cognitive Mirrors", "a flat index of 2^63", lambda: b'{"a": [[9223372036854775808, 1]]}'),
    Hostile("scores, DuoAttention", "a gate of 10,000 digits", lambda: b"0." + b"1" * 10_000 + b"\tx"),
    Hostile("scores, DuoAttention", "a row of 200,000 gates and one of none", lambda: b"0\t" * 200_000 + b"0\n\n0"),
    Hostile("tasks, JSON lines", "deep lists", lambda: b'{"task":' + b"[" * DEEP),
    Hostile("tasks, JSON lines", "a number of 5,000 digits", lambda: b"1" * 5000),
    Hostile("tasks, JSON lines", "UTF-16", lambda: readers.JSONL.decode().encode("utf-16")),
    Hostile(
        "tasks, JSON lines",
        "a BOM and CRLF",
        lambda: b"\xef\xbb\xbf" + readers.JSONL.replace(b"\n", b"\r\n"),
        readable=True,
    ),
    Hostile("tasks, JSON lines", "half a character", lambda: b'{"task": "a", "prompt": "\\ud800", "answer": "b"}'),
    Hostile("tasks, JSON lines", "a key twice", lambda: b'{"task": "a", "task": "b", "prompt": "c", "answer": "d"}'),
    Hostile("tasks, CogQA", "deep lists", lambda: b"[" * DEEP),
    Hostile("tasks, CSV", "an open quote over the whole file", lambda: readers.TABLE + b'"' + b"x" * 10_000_000),
    Hostile("study.toml", "deep lists", lambda: b"a = " + b"[" * DEEP),
    Hostile("study.toml", "deep tables", lambda: b"[" + b"a." * 20_000 + b"a]\n"),
    Hostile("study.toml", "a key twice", lambda: b'[model]\npath = "a"\npath = "b"\n'),
    Hostile("study.toml", "a number of 5,000 digits", lambda: b"[scoring]\nseed = " + b"1" * 5000),
    Hostile("study.toml", "UTF-16", lambda: "[model]\n".encode("utf-16")),
    Hostile("findings.json", "deep lists", lambda: b"[" * DEEP),
    Hostile(
        "findings.json",
        "a key twice beside another",
        lambda: readers.of_report("findings.json")().replace(b'"alpha"', b'"seed": 1, "alpha"', 1),
    ),
    Hostile("manifest.json in verify", "a name that climbs", lambda: _manifest(files={"../../etc/passwd": {}})),
    Hostile("manifest.json in verify", "a name from the root", lambda: _manifest(files={"/etc/passwd": {}})),
    Hostile("manifest.json in verify", "a name of 5,000 letters", lambda: _manifest(files={"1" * 5000: {}})),
    Hostile("manifest.json in verify", "a newer version", lambda: _manifest(schema="reportgen/manifest/2")),
    Hostile("manifest.json in verify", "deep lists", lambda: b"[" * DEEP),
    Hostile("PDF in verify", "a PDF of another maker", lambda: _pdf(_attachments(), "another")),
    Hostile("PDF in verify", "no attachments", lambda: _pdf({})),
    Hostile("PDF as scores", "an edited attachment", lambda: _pdf(_attachments(**{"findings.json": b"{}"}))),
    Hostile(
        "PDF as scores",
        "an attachment whose name climbs",
        lambda: _pdf(_attachments(**{"templates/../../../x": b"x"})),
        readable=True,
    ),
    Hostile("PDF in verify", "a manifest that is a list", lambda: _pdf(_attachments(**{"manifest.json": b"[]"}))),
)


def tried(hostile: Hostile) -> str:
    """What becomes of a file, in this process, whose memory is limited hereafter."""
    readers.quiet()
    reader = next(r for r in readers.READERS if r.title == hostile.reader)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / reader.name
        for make in reader.seeds[:1]:  # what reading imports is no part of what a file takes
            path.write_bytes(make())
            outcome(reader, path)
        path.write_bytes(hostile.make())
        limit_memory()
        found = outcome(reader, path)
    return f"code ran: {found}" if Path(MARK).exists() else found


def well(hostile: Hostile, found: str) -> bool:
    """Whether a file's end is a good one."""
    return found == "refused" or (hostile.readable and found == "read")


def each(hostile: Hostile) -> str:
    """``tried`` in a process and an empty folder of its own."""

    def inside() -> str:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            return tried(hostile)

    found, ended = apart(inside)
    return ended or str(found)


def main() -> None:
    readers.quiet()
    readers.report_folder()
    found = [each(hostile) for hostile in HOSTILE]
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(found))
        return
    for hostile, end in zip(HOSTILE, found, strict=True):
        print(f"{'ok   ' if well(hostile, end) else 'WRONG'} {hostile.reader}: {hostile.what}: {end}")
    sys.exit(not all(map(well, HOSTILE, found)))


if __name__ == "__main__":
    main()
