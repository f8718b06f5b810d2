"""How much memory a piece of work takes, how much there is, and what to do where it runs out."""

import os
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from reportgen.errors import InputError, ran_out
from reportgen.scoring.model.torch_private import TorchDispatchMode, storage_identity

HINT = "Use a smaller model or shorter prompts, a narrower dtype, or a machine with more memory"
CGROUPS = (  # what bounds a container: its limit, what it has taken, and what of that are files read once
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


class Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """Within the context, counts the bytes of tensors that are made and still held; ``bytes`` holds the greatest sum
    on each device.

    Tensors that were there before do not count, nor does what a single operation takes and gives back.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: Counter[torch.device] = Counter()
        self.held: Counter[torch.device] = Counter()
        self.known = set[int]()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        for storage in _storages((args, kwargs)):
            self._note(storage, 0)  # made before the context
        made = func(*args, **(kwargs or {}))
        for storage in _storages(made):
            self._note(storage, storage.nbytes())
        return made

    def _note(self, storage: torch.UntypedStorage, size: int) -> None:
        key, device = storage_identity(storage), storage.device
        if key in self.known or device.type == "meta":
            return
        self.known.add(key)
        self.held[device] += size
        self.bytes[device] = max(self.bytes[device], self.held[device])
        weakref.finalize(storage, self._freed, key, device, size)

    def _freed(self, key: int, device: torch.device, size: int) -> None:
        self.known.discard(key)
        self.held[device] -= size


def _storages(value: object) -> Iterator[torch.UntypedStorage]:
    """Yield the memory of all tensors in a value of lists, tuples and dictionaries, as torch's functions take them."""
    if isinstance(value, Tensor):
        if value.layout == torch.strided:
            yield value.untyped_storage()
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _storages(part)


def peak_bytes(work: Callable[[], object]) -> int:
    """Measure the most bytes of new tensors that a work holds at once on any one device."""
    with Peak() as counted:
        work()
    return max(counted.bytes.values(), default=0)


def free_bytes(devices: set[torch.device]) -> int | None:
    """Return the bytes that the scarcest of the devices has left; None where none of them tells."""
    return min((free for free in map(_free, devices) if free is not None), default=None)


def _free(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_bounds(), default=None) if device.type == "cpu" else None


def _bounds() -> Iterator[int]:
    """Yield the bytes that each bound leaves this process of the machine's memory."""
    meminfo = _read("/proc/meminfo")
    if "MemAvailable:" in meminfo:
        yield 1024 * int(meminfo.partition("MemAvailable:")[2].split()[0])
    for limit, taken, files in CGROUPS:
        most, now = (_read(f"/sys/fs/cgroup/{name}").strip() for name in (limit, taken))
        if most.isdigit() and now.isdigit():
            stat = dict(
                line.split(maxsplit=1)
                for line in _read(f"/sys/fs/cgroup/{Path(limit).parent}/memory.stat").splitlines()
            )
            yield max(0, int(most) - int(now) + int(stat.get(files, 0)))
    held = _read("/proc/self/statm").split()
    if held:
        import resource  # not on Windows, where there is no /proc either

        most_addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most_addresses != resource.RLIM_INFINITY:
            yield max(0, most_addresses - int(held[0]) * os.sysconf("SC_PAGE_SIZE"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@contextmanager
def enough(location: str) -> Iterator[None]:
    """Make an InputError, within the context, of memory that runs out: no smaller batch would help there."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise InputError("out of memory while the model is loaded", location, HINT) from error


def halved(size: int, error: Exception, location: str) -> int:
    """Halve the batch size where memory ran out; raise what is another fault, or where one example does not fit."""
    if not ran_out(error):
        raise error
    if size == 1:
        raise InputError("out of memory with batches of one example", location, HINT) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return size // 2
