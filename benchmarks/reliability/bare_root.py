"""Bare Debian roots to run commands in: debootstrap's minimal system with Python and make, and layers above it.

Each command runs in mount and process namespaces of its own, which end with it: nothing stays mounted. How this machine
reaches its package registries (apt's settings, pip's configuration, certificates, proxies) is handed on, and nothing
else of it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "bookworm"
HOST = "/run/host"  # where folders of this machine that pip's configuration names are mounted, read-only
HANDED_ON = re.compile(r"PIP_.*|(https?|no|all)_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE", re.I)
LOCAL = re.compile(r"(?<![\w:/])(/[^\s'\"]+)|(?<=file://)(/[^\s'\"]+)")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Ran:
    """A command's exit code and all that it printed; without network, how often it tried to reach one."""

    code: int
    told: str
    tries: int = 0


def debootstrapped(place: Path) -> Path:
    """A bare root with nothing but what Debian cannot do without, Python and make; made where it is not there yet."""
    base = place / "base"
    if not (base / "etc" / "debian_version").exists():
        place.mkdir(parents=True, exist_ok=True)
        mirror = (
            os.environ.get("DEBIAN_MIRROR")
            or _asked("apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {RELEASE}").splitlines()[0]
        )
        options = ["--variant=minbase", "--include=python3,make"]
        subprocess.run(["debootstrap", *options, RELEASE, base, mirror], check=True, stdout=sys.stderr)
    (base / "etc/apt/apt.conf.d/90registries").write_text(_asked("apt-config", "dump", "Acquire"))
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc") / name, base / "etc" / name)
    settings = re.findall(r"^global\.([\w-]+)='(.*)'$", _asked(sys.executable, "-m", "pip", "config", "list"), re.M)
    (base / "etc/pip.conf").write_text("[global]\n" + "".join(f"{k} = {_at_host(v)}\n" for k, v in settings))
    return base


def _asked(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _at_host(text: str) -> str:
    return LOCAL.sub(lambda m: HOST + m[0] if Path(m[0]).exists() else m[0], text)


def _environment() -> dict[str, str]:
    return {name: _at_host(value) for name, value in os.environ.items() if HANDED_ON.fullmatch(name)}


def _local_folders() -> set[str]:
    """The folders of this machine that hold what pip's configuration and the environment name."""
    told = _asked(sys.executable, "-m", "pip", "config", "list")
    told += "".join(f"\n'{v}'" for n, v in os.environ.items() if HANDED_ON.fullmatch(n))
    return {str(Path(a or b).parent) for a, b in LOCAL.findall(told) if Path(a or b).exists()}


def no_routes(counters: str) -> int:
    """How many ways out were asked for and not found, by the kernel's counters at the end of what was printed."""
    names, values = re.findall(r"^Ip: (.*)$", counters, re.M)[-2:]
    found = dict(zip(names.split(), values.split(), strict=True))
    return int(found["OutNoRoutes"]) + sum(map(int, re.findall(r"^Ip6OutNoRoutes\s+(\d+)$", counters, re.M)[-1:]))


class Bare:
    """A root: ``below``, layers of which the first is the uppermost, and a layer of its own for all that is written."""

    def __init__(self, place: Path, name: str, below: list[Path]) -> None:
        self.layers = [place / name / "written", *below]
        self.work, self.root = place / name / "work", place / name / "root"
        for folder in (self.layers[0], self.work, self.root):
            folder.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        command: str,
        folder: str = "/",
        *,
        user: str = "root",
        network: bool = True,
        log: Path | None = None,
        **environment: str,
    ) -> Ran:
        """Run a shell's command as a user in a folder of the root; without network, it has the loopback alone."""
        root, home = shlex.quote(str(self.root)), "/root" if user == "root" else f"/home/{user}"
        lower = ":".join(map(str, self.layers[1:]))
        lines = [
            "set -e",
            f"mount -t overlay overlay {root} -o lowerdir={lower},upperdir={self.layers[0]},workdir={self.work}",
            f"mount --rbind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
        ]
        for source in sorted(_local_folders()):
            target = shlex.quote(f"{self.root}{HOST}{source}")
            lines += [f"mkdir -p {target}", f"mount --bind -o ro {shlex.quote(source)} {target}"]
        if not network:
            lines.append("ip link set lo up")
            # the kernel counts every address beyond the loopback that was asked for, name servers' too
            command = f"({command}); code=$?; cat /proc/net/snmp /proc/net/snmp6 2>/dev/null; exit $code"
        given = {"PATH": PATH, "HOME": home, "USER": user, **_environment(), **environment}
        become = [] if user == "root" else [f"--userspec={user}:{user}", f"--groups={user}"]
        inside = f"cd {shlex.quote(folder)} && {command}"
        lines.append(
            shlex.join(
                [
                    "exec",
                    "env",
                    "-i",
                    *(f"{k}={v}" for k, v in given.items()),
                    shutil.which("chroot") or "chroot",
                    *become,
                    str(self.root),
                    "sh",
                    "-c",
                    inside,
                ]
            )
        )
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        done = subprocess.run(
            [*apart, "sh", "-c", "\n".join(lines)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if log:
            with log.open("a") as file:
                file.write(f"$ {command}    [{user}, {folder}]\n{done.stdout}\n[exit code {done.returncode}]\n\n")
        return Ran(done.returncode, done.stdout, 0 if network else no_routes(done.stdout))

    def clone(self, folder: str) -> None:
        """The project as its last commit has it, in a folder of the root."""
        target = self.layers[0] / folder.lstrip("/")
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, target], check=True)
