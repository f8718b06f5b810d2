"""Where a study's model lies: its folder or GGUF file, and the adapter on it; no torch is needed to say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reportgen.core.config import ModelSection
from reportgen.errors import InputError, reason
from reportgen.storage.json_files import read_json

CONFIG, ADAPTER = "config.json", "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")  # configuration, tokenizer
MERGE = "AutoPeftModelForCausalLM.from_pretrained(adapter).merge_and_unload().save_pretrained(folder)"


@dataclass(frozen=True)
class Located:
    """A model's files on this machine: the ``folder`` of its configuration, weights and tokenizer, the ``gguf`` file
    that holds all three in their stead, and the ``adapter``'s folder. ``left_over`` is an adapter beside the weights
    that the study says is not to be applied; ``revision`` the commit of a hub model.
    """

    folder: Path
    gguf: Path | None = None
    adapter: Path | None = None
    left_over: bool = False
    revision: str | None = None

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer: the adapter's where it brings one, with the tokens that it was trained on."""
        own = self.adapter is not None and (self.adapter / "tokenizer_config.json").is_file()
        return self.adapter if own and self.adapter is not None else self.folder


def located(section: ModelSection) -> Located:
    """Find the files of the model that [model] names, on this machine or on the hub.

    A folder with an adapter alone stands for the base model that the adapter names with the adapter on it. Raises
    InputError where there is no such folder, and where it cannot be told whether an adapter is to be applied: one that
    lies beside a model's weights may have been merged into them.
    """
    path, revision = _fetched(section.path, section.revision, "path")
    if path.is_file():
        return Located(path.parent, _gguf(path), _asked(section))
    holds = (path / ADAPTER).is_file()
    whole = (path / CONFIG).is_file() or any(path.glob("*.gguf"))
    if holds and not whole:
        return _on_its_base(path, section, revision)
    if not holds and section.adapter is True:
        hint = "Give the adapter's folder, or remove the key"
        raise InputError(f"the model's folder holds no {ADAPTER}", "[model] adapter", hint)
    if holds and section.adapter is None:
        raise InputError(
            f"an adapter ({ADAPTER}) lies beside the model's weights, which may hold it already",
            str(path),
            "Give [model] adapter = true where it is to be applied to these weights, or adapter = false where it is "
            "merged into them",
        )
    gguf = None if (path / CONFIG).is_file() else _only_gguf(path)
    return Located(
        path, gguf, path if section.adapter is True else _asked(section), holds and not section.adapter, revision
    )


def local_folders(section: ModelSection) -> list[Path]:
    """Return the paths on this machine of the model's files, the adapter's and its base's; nothing is fetched."""
    paths = [Path(section.path).expanduser()]
    if isinstance(section.adapter, str):
        paths.append(Path(section.adapter).expanduser())
    alone = (paths[0] / ADAPTER).is_file() and not (paths[0] / CONFIG).is_file()
    return [*paths, *(_bases(paths[0]) if alone else ())]


def _fetched(path: str, revision: str | None, key: str) -> tuple[Path, str | None]:
    local = Path(path).expanduser()
    return (local, None) if local.exists() else _download(path, revision, key)


def _download(path: str, revision: str | None, key: str) -> tuple[Path, str | None]:
    """Fetch a hub model's safetensors and small files alone; return its folder in the local cache and its commit."""
    from huggingface_hub import snapshot_download

    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or path.endswith(".gguf")
    if looks_local or "\\" in path:
        raise InputError("no such model folder", path, f"Check [model] {key} in the study file")
    try:
        folder = Path(
            snapshot_download(
                path,
                revision=revision,
                ignore_patterns=["*/*", *PICKLES, "*.h5", "*.msgpack", "*.gguf", "*.onnx", "consolidated*"],
            )
        )
    except Exception as error:  # the hub's client raises some twenty kinds, from HTTP to name validation
        raise InputError(
            f"no such model folder, and the hub gave no such model ({reason(error)})",
            path,
            f"Check [model] {key} in the study file, and the network if it is a hub id",
        ) from error
    return folder, folder.name


def _asked(section: ModelSection) -> Path | None:
    """Return the folder of the adapter that the study names beside the model (None: it names none)."""
    if not isinstance(section.adapter, str):
        if section.adapter:
            raise InputError("a GGUF file holds no adapter", "[model] adapter", "Give the adapter's folder")
        return None
    folder = _fetched(section.adapter, None, "adapter")[0]
    if not (folder / ADAPTER).is_file():
        raise InputError(f"the adapter's folder holds no {ADAPTER}", str(folder), "Give the folder that PEFT wrote")
    return folder


def _on_its_base(adapter: Path, section: ModelSection, revision: str | None) -> Located:
    """Return an adapter's base with the adapter on it."""
    if section.adapter not in (None, True):
        raise InputError(
            "the folder holds an adapter alone, without a model",
            str(adapter),
            "Give the base model as [model] path, or remove the key adapter",
        )
    name = _base_name(adapter)
    here = [folder for folder in _bases(adapter) if folder.is_dir()]
    pinned = read_json(adapter / ADAPTER)
    base = here[0] if here else _fetched(name, pinned.get("revision") if isinstance(pinned, dict) else None, "path")[0]
    if (base / ADAPTER).is_file():
        raise InputError(
            f"the adapter's base holds an {ADAPTER} too, and which of the two its weights hold cannot be told",
            str(base),
            f"Merge the first one ({MERGE}), or give the base as [model] path and the adapter as [model] adapter",
        )
    return Located(base, None if (base / CONFIG).is_file() else _only_gguf(base), adapter, revision=revision)


def _base_name(adapter: Path) -> str:
    content = read_json(adapter / ADAPTER)
    name = content.get("base_model_name_or_path") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name:
        raise InputError(
            f"its {ADAPTER} names no base model",
            str(adapter),
            "Give the base model as [model] path and this folder as [model] adapter",
        )
    return name


def _bases(adapter: Path) -> Sequence[Path]:
    """Return where an adapter's base may lie on this machine: beside the adapter, or where its maker worked."""
    name = Path(_base_name(adapter)).expanduser()
    return [folder for folder in (adapter.parent / name, name) if folder.resolve() != adapter.resolve()]


def _gguf(path: Path) -> Path:
    if path.suffix.lower() != ".gguf":
        hint = "Give the model's folder, a GGUF file, or a hub id"
        raise InputError("this file is no model", str(path), hint)
    return path


def _only_gguf(folder: Path) -> Path | None:
    """Return the GGUF file of a folder without config.json (None: it holds none)."""
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise InputError(
            f"the model folder holds {len(found)} GGUF files",
            str(folder),
            f"Name one as [model] path, such as {found[0].name}",
        )
    return found[0] if found else None


def files(section: ModelSection) -> Iterator[Path]:
    """Yield the files on this machine that make a model's scores what they are: weights, configurations, tokenizer."""
    for path in local_folders(section):
        if path.is_file():
            yield path
        patterns = SMALL_FILES if path.is_file() else ("*.safetensors", "*.gguf", *SMALL_FILES)
        beside = path.parent if path.is_file() else path
        yield from (found for pattern in patterns for found in sorted(beside.glob(pattern)))
