"""A folder of small files on this machine or behind any fsspec URL, and the lock that keeps two runs out of one."""

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reportgen.errors import InputError, MissingResourceError
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import canonical_json
from reportgen.storage.locks import acquire, busy, holder

LOCK = "lock"
# Seconds between two signs of life where the file system knows no locks. Each is one small object written: a run of a
# day leaves some 17,000, and a second run waits STALE × BEAT = 20 s before it takes a dead one's place (long-runs.md).
BEAT = 5.0
STALE = 4  # beats without a sign after which a run is taken for dead: three may fail on the way
Check = Callable[[], None]


class StorageFolder:
    """A folder by its path or by a URL such as ``s3://bucket/run``; raises InputError for an unknown protocol.

    Files are written whole or not at all: renamed into place on a local disk, put as one object elsewhere.
    """

    def __init__(self, where: Path | str) -> None:
        self.where = str(where)
        self.path = where if isinstance(where, Path) else _local(where)
        if self.path is None:
            self.fs, self.root = _remote(self.where)

    def __str__(self) -> str:
        return self.where

    def names(self) -> set[str]:
        """Return the files' names; none where the folder does not exist."""
        try:
            if self.path is not None:
                return {p.name for p in self.path.iterdir()}
            self.fs.invalidate_cache()
            return {str(name).rstrip("/").rpartition("/")[2] for name in self.fs.ls(self.root, detail=False)}
        except FileNotFoundError:
            return set()
        except Exception as error:  # each remote file system raises kinds of its own
            raise _unreachable(self.where, error) from error

    def tree(self) -> list[str]:
        """Return the names of all files, those in folders within it too, of a folder behind a URL."""
        try:
            self.fs.invalidate_cache()
            return sorted(str(path).removeprefix(self.root).lstrip("/") for path in self.fs.find(self.root))
        except FileNotFoundError:
            return []
        except Exception as error:
            raise _unreachable(self.where, error) from error

    def read(self, name: str) -> bytes | None:
        """Read a file; None where there is none."""
        try:
            if self.path is not None:
                return (self.path / name).read_bytes()
            return bytes(self.fs.cat_file(f"{self.root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _unreachable(self.where, error) from error

    def write(self, name: str, content: bytes | str) -> None:
        """Write a whole file; raises MissingResourceError where it cannot be written."""
        if self.path is not None:
            write_atomic(self.path / name, content)
            return
        try:
            self.fs.makedirs(f"{self.root}/{name}".rpartition("/")[0], exist_ok=True)
            self.fs.pipe_file(f"{self.root}/{name}", content.encode() if isinstance(content, str) else content)
        except Exception as error:
            raise _unreachable(self.where, error) from error

    def remove(self, name: str | None = None) -> None:
        """Remove a file, or the folder with all that is in it; what is not there is no error."""
        if self.path is None:
            try:
                self.fs.rm(self.root if name is None else f"{self.root}/{name}", recursive=name is None)
            except FileNotFoundError:
                pass
            except Exception as error:
                raise _unreachable(self.where, error) from error
        elif name is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[Check]:
        """Keep other runs out while the context lasts; what it gives raises InputError once the lock has been lost.

        A local lock is the kernel's, which falls with the process that held it, however it ended. Where there is none
        (object stores, some shared disks), the holder leaves a sign of life every ``BEAT`` seconds, and a lock that
        shows none while we watch is taken over: no two clocks are ever compared.
        Raises InputError where another run is at work in the folder.
        """
        lock = None if self.path is None else acquire(self.path / LOCK, self.path)
        if lock is None:
            with _Beats(self) as beats:
                yield beats.check
            return
        try:
            yield lambda: None
        finally:
            lock.release()

    def refuse_busy(self) -> None:
        """Raise InputError where another run is at work in the folder; changes nothing."""
        if LOCK in self.names():
            with self.locked():
                pass


def _unreachable(where: str, error: Exception) -> MissingResourceError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = "Check the address and your right to write there; finished files are complete"
    return MissingResourceError(f"cannot be used ({reason.rstrip('.')})", where, hint)


def _local(where: str) -> Path | None:
    if where.startswith("file://"):
        return Path(where.removeprefix("file://"))
    return None if is_remote(where) else Path(where)


def is_remote(where: Path | str) -> bool:
    """Return whether a text is a URL of another file system than this machine's."""
    return isinstance(where, str) and "://" in where and not where.startswith("file://")


def _remote(where: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        fs, root = url_to_fs(where)
    except ImportError as error:
        raise MissingResourceError(f"no library reads this address ({error})", where, "pip install it") from error
    except ValueError as error:
        raise InputError(f"this address cannot be used ({error})", where, "Give a folder or an fsspec URL") from error
    except Exception as error:  # some connect at once
        raise _unreachable(where, error) from error
    return fs, str(root).rstrip("/")


class _Beats:
    """A lock of signs of life: a file that its holder rewrites, with a number that grows."""

    def __init__(self, folder: StorageFolder) -> None:
        self.folder, self.token, self.count = folder, secrets.token_hex(8), 0
        self.ended, self.lost = threading.Event(), False
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "_Beats":
        first = self.folder.read(LOCK)
        for _ in range(STALE if first is not None else 0):
            time.sleep(BEAT)
            now = self.folder.read(LOCK)
            if now is None:
                break
            if now != first:
                raise busy(self.folder, now)
        self._sign()
        time.sleep(BEAT / 10)  # two that came at once: the later one's file stands
        if not self._mine():
            raise busy(self.folder, self.folder.read(LOCK))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        if not self.lost:
            self.folder.remove(LOCK)

    def check(self) -> None:
        if self.lost:
            raise busy(self.folder, self.folder.read(LOCK))

    def _beat(self) -> None:
        while not self.ended.wait(BEAT):
            with suppress(MissingResourceError):  # a network that fails for a while: the next beat tries again
                if not self._mine():
                    self.lost = True
                    return
                self._sign()

    def _sign(self) -> None:
        self.count += 1
        self.folder.write(LOCK, canonical_json({**holder(), "token": self.token, "beat": self.count}))

    def _mine(self) -> bool:
        content = self.folder.read(LOCK)
        return content is not None and self.token.encode() in content
