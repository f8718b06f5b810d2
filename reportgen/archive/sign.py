"""Whose a report is: OpenSSH signatures over its manifest and its PDF, made and checked by ssh-keygen, as git does."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reportgen.errors import InputError, MissingResourceError
from reportgen.importers.report_pdf import attached
from reportgen.storage.files import write_atomic

NAMESPACE = "reportgen"  # a signature made for something else does not count here
SIG = ".sig"


@dataclass(frozen=True)
class Signature:
    """What a signature says of a file: by whom it is, what is wrong with it, or why that cannot be known."""

    file: str
    by: str = ""
    wrong: str = ""
    unknown: str = ""


def sign(report: Path, key: Path) -> list[Path]:
    """Sign a report's folder (its manifest, which holds the hash of every file, and its PDF) or its PDF alone.

    Each signature lies beside its file. Raises InputError for what is no report and for a key that does not sign.
    """
    key = key.expanduser()
    if not key.is_file():
        raise InputError("no such key", str(key), "Give a private key of OpenSSH; `ssh-keygen -t ed25519` makes one")
    made = []
    for path in signed_files(report):
        signature = _run(["sign", "-n", NAMESPACE, "-f", str(key)], path.read_bytes(), ask=True)
        if signature.returncode:
            raise InputError(
                f"ssh-keygen does not sign with it ({_message(signature)})", str(key), "Give your private key"
            )
        made.append(beside(path))
        write_atomic(made[-1], signature.stdout)
    return made


def signed_files(report: Path) -> list[Path]:
    """Return the files that are signed: of a folder the manifest and the PDF, else the PDF itself."""
    if not report.is_dir():
        attached(report)  # refuses what is no report
        return [report]
    if not (report / "manifest.json").is_file():
        raise InputError("this folder holds no report (no manifest.json)", str(report), "Give a report's folder or PDF")
    return [path for path in (report / "manifest.json", report / "report.pdf") if path.is_file()]


def beside(path: Path) -> Path:
    """Return where a file's signature lies."""
    return path.with_name(path.name + SIG)


def signatures(report: Path, signers: Path | None) -> list[Signature]:
    """Check the signatures of a report; [] where there are none and no ``signers`` (allowed_signers) are named."""
    if signers is not None and not signers.is_file():
        raise InputError("no such file", str(signers), "Give an allowed_signers file (see `man ssh-keygen`)")
    found = []
    for path in signed_files(report):
        if beside(path).is_file():
            found.append(_checked(path, signers))
        elif signers is not None:
            found.append(Signature(path.name, unknown="it is not signed"))
        elif any(beside(other).is_file() for other in signed_files(report)):
            found.append(Signature(path.name, unknown="it is not signed, and what lies beside it is"))
    return found


def _checked(path: Path, signers: Path | None) -> Signature:
    content, at = path.read_bytes(), ["-s", str(beside(path))]
    try:
        if _run(["check-novalidate", "-n", NAMESPACE, *at], content).returncode:
            return Signature(path.name, wrong="its signature is not one of these bytes")
        if signers is None:
            return Signature(path.name, unknown="it is signed; --signers FILE tells whether by someone you know")
    except MissingResourceError as error:
        if signers is not None:
            raise
        return Signature(path.name, unknown=f"its signature: {error.problem}. {error.hint}")
    allowed = ["-f", str(signers)]
    for who in _run(["find-principals", *at, *allowed], b"").stdout.decode(errors="replace").splitlines():
        if not _run(["verify", "-n", NAMESPACE, "-I", who, *at, *allowed], content).returncode:
            return Signature(path.name, by=who)
    return Signature(path.name, unknown=f"it is signed by nobody whom {signers} names")


def _run(arguments: Sequence[str], content: bytes, ask: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen -Y; it may ask for a key's passphrase on the terminal where ``ask``."""
    try:
        return subprocess.run(
            ["ssh-keygen", "-Y", *arguments], input=content, capture_output=True, check=False, start_new_session=not ask
        )
    except FileNotFoundError as error:
        raise MissingResourceError(
            "ssh-keygen, which makes and checks signatures, is missing",
            "signature",
            "Install it: `apt-get install openssh-client`",
        ) from error


def _message(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
