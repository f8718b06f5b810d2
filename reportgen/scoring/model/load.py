"""Read a model's folder: its configuration, weights and tokenizer; safetensors only, no code of the model's own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from reportgen.core.config import ModelSection
from reportgen.errors import InputError, MissingResourceError, ran_out
from reportgen.scoring.data.batches import Kind
from reportgen.storage.json_files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

COMPILED = r"_orig_mod\."  # what torch.compile puts before the names of what it wraps
SEEN = ("sdpa", "eager")  # the ways to attend whose heads are seen
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# What the last word of an architecture's name says of it, the longest first
HEADS: dict[str, Kind] = {
    "ForSequenceClassification": "classifier",
    "ForConditionalGeneration": "seq2seq",
    "ForSeq2SeqLM": "seq2seq",
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
    "ForMaskedLM": "masked",
    "WithLMHeadModel": "masked",
    "ForPreTraining": "masked",
}
LOADERS: dict[Kind, str] = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "classifier": "AutoModelForSequenceClassification",
    "encoder": "AutoModel",
}
MAPPINGS: dict[Kind, str] = {
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "masked": "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "classifier": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "encoder": "MODEL_MAPPING_NAMES",
}


@dataclass(frozen=True)
class Folder:
    """A model as its folder holds it, in eval mode with frozen parameters on its device.

    ``unplaced`` names the folder's weights that the model has no place for; ``told`` are sentences on what is
    done otherwise than the folder asks for.
    """

    model: PreTrainedModel
    unplaced: tuple[str, ...]
    tokenizer: PreTrainedTokenizerBase
    kind: Kind
    revision: str | None
    weights_sha256: str
    told: tuple[str, ...] = ()


def read_folder(section: ModelSection) -> Folder:
    """Load the model that [model] names.

    Raises InputError for a folder that does not exist or holds no safetensors weights, for pickled weights, for
    weights that do not fit or fill the model, for quantised ones, and for architectures that transformers does not know
    without their own code.
    """
    local = Path(section.path).expanduser()
    folder, revision = (local, None) if local.exists() else _download(section)
    weights = _weights(folder)
    with quiet():
        config = _config(folder)
        _refuse_quantised(config, folder)
        _refuse_pruned(config, folder)
        kind = _kind(config, folder)
        loader, asked = _loader(kind, config), unseen_attention(folder)
        attention = None if asked is None else _seen_attention(loader, config)
        model, unplaced = _model(folder, config, kind, section, _compiled(weights), loader, attention)
        tokenizer = _tokenizer(folder)
    told = () if asked is None else (f"its configuration asks for {asked}; attention is computed by {attention}",)
    return Folder(model, unplaced, tokenizer, kind, revision, _hash(weights), told)


def _loader(kind: Kind, config: PreTrainedConfig) -> Any:
    """Return transformers' class that loads such a model: its audio language models are filed with encoder-decoders."""
    import transformers

    filed = kind != "causal" or type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    return getattr(transformers, LOADERS[kind if filed else "seq2seq"])


def unseen_attention(folder: Path) -> str | None:
    """Return the attention kernel that a folder's config.json asks for, at any depth, where it is none that computes a
    layer's heads by torch's own functions, such as flash_attention_2.
    """
    found, open_ones = list[str](), [read_json(folder / "config.json") if (folder / "config.json").is_file() else {}]
    while open_ones:
        part = open_ones.pop()
        if isinstance(part, dict):
            asked = [part.get(name) for name in ("attn_implementation", "_attn_implementation")]
            found += [str(name) for name in asked if isinstance(name, str) and name not in SEEN]
            open_ones += part.values()
    return found[0] if found else None


def _refuse_pruned(config: PreTrainedConfig, folder: Path) -> None:
    """Raise InputError for a model from which heads were cut out: transformers builds every layer whole again."""
    pruned = getattr(config, "pruned_heads", None)
    if pruned:
        layers = ", ".join(str(layer) for layer in sorted(pruned, key=int))
        raise InputError(
            f"heads were pruned from it (pruned_heads in its config.json, layers {layers}), which transformers cannot "
            "load since version 5",
            str(folder),
            "Load it with transformers 4, copy its weights into a model of full size, with zeros for the pruned heads, "
            "and save that one: it puts out the same",
        )


def _download(section: ModelSection) -> tuple[Path, str | None]:
    """Fetch a hub model's safetensors and small files alone; return its folder in the local cache and its commit."""
    from huggingface_hub import snapshot_download

    path, looks_local = section.path, section.path.startswith((".", "/", "~")) or section.path.count("/") > 1
    if looks_local or "\\" in path:
        raise InputError("no such model folder", path, "Check [model] path in the study file")
    try:
        folder = Path(
            snapshot_download(
                path,
                revision=section.revision,
                ignore_patterns=["*/*", *PICKLES, "*.h5", "*.msgpack", "*.gguf", "*.onnx", "consolidated*"],
            )
        )
    except Exception as error:  # the hub's client raises some twenty kinds, from HTTP to name validation
        raise InputError(
            f"no such model folder, and the hub gave no such model ({reason(error)})",
            path,
            "Check [model] path in the study file, and the network if it is a hub id",
        ) from error
    return folder, folder.name


def _weights(folder: Path) -> list[Path]:
    location = str(folder)
    if not (folder / "config.json").is_file():
        whole = "Save the model there with model.save_pretrained and tokenizer.save_pretrained"
        raise InputError("the model folder holds no config.json", location, whole)
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if index.is_file():
        return _shards(folder, index)
    pickles = sorted(p.name for pattern in PICKLES for p in folder.glob(pattern) if p.name != "training_args.bin")
    if pickles:
        raise InputError(
            f"{pickles[0]} is a pickle, which can run code when it is read",
            location,
            "Load them where you trust them and save again with model.save_pretrained, which writes safetensors",
        )
    raise InputError("the model folder holds no weights", location, "Put model.safetensors there")


def _shards(folder: Path, index: Path) -> list[Path]:
    hint = "Copy the whole model folder again"
    content = read_json(index)
    named = content.get("weight_map") if isinstance(content, dict) else None
    names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
    for name in names:
        _refuse_shard(folder, index, name)
        if not (folder / name).is_file():
            raise InputError(f"{name} is missing, which {index.name} names", str(folder), hint)
    if not names:
        raise InputError("it names no weights", str(index), hint)
    return [folder / name for name in names]


def _refuse_shard(folder: Path, index: Path, name: str) -> None:
    """Refuse a shard that is a pickle, or that lies outside the model's folder, by its name or through a link.

    In the hub's local cache every file is a link into the store beside the snapshots.
    """
    if not name.endswith(".safetensors"):
        raise InputError(
            f"it names {name!r}, which is no safetensors file",
            str(index),
            "Save the model again with model.save_pretrained, which writes safetensors",
        )
    whole = folder.resolve()
    store = whole.parents[1] / "blobs" if whole.parent.name == "snapshots" else whole
    target = (folder / name).resolve()
    if not (target.is_relative_to(whole) or target.is_relative_to(store)) or ".." in Path(name).parts:
        raise InputError(
            f"it names {name!r}, which lies outside the model's folder",
            str(index),
            "Copy that file into the model's folder, if you trust it, and name it so",
        )


def _config(folder: Path) -> PreTrainedConfig:
    from transformers import AutoConfig

    try:
        found: PreTrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"its config.json cannot be used ({reason(error)})",
            str(folder),
            "Choose a model that transformers knows without code of the model's own",
        ) from error


def _kind(config: PreTrainedConfig, folder: Path) -> Kind:
    """Say what the folder's model puts out: by the architecture that its config names, else by its type."""
    from transformers.models.auto import modeling_auto

    known = {kind: getattr(modeling_auto, name) for kind, name in MAPPINGS.items()}
    named = (getattr(config, "architectures", None) or [""])[0]
    decodes = getattr(config, "is_encoder_decoder", False)
    for ending, kind in HEADS.items():
        if named.endswith(ending) and config.model_type in known[kind]:
            # transformers counts audio language models, which are decoders alone, among the sequence-to-sequence ones
            return "causal" if kind == "seq2seq" and not decodes else kind
    if named.endswith("Model") and config.model_type in known["masked"] and not getattr(config, "is_decoder", False):
        return "encoder"
    other: Kind
    for other in ("seq2seq", "causal", "encoder"):
        fits = other != "seq2seq" or getattr(config, "is_encoder_decoder", False)
        if fits and config.model_type in known[other]:
            return other
    raise InputError(
        f"{config.model_type} is no language model, encoder or classifier that transformers loads",
        str(folder),
        "Choose a causal, masked or sequence-to-sequence language model",
    )


def _compiled(weights: list[Path]) -> bool:
    """Whether weights are those of a model that torch.compile had wrapped, or parts of it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights[0], "pt") as file:
            return any(re.search(COMPILED, name) for name in file.keys())  # noqa: SIM118
    except SafetensorError:  # an error once they are loaded
        return False


def _model(
    folder: Path,
    config: PreTrainedConfig,
    kind: Kind,
    section: ModelSection,
    compiled: bool,
    loader: Any,
    attention: str | None,
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    hint, placed = "Save the model again with model.save_pretrained", _placed(section)
    try:
        model, info = loader.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, section.dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **placed,
            **({"key_mapping": {COMPILED: ""}} if compiled else {}),
            **({"attn_implementation": attention} if attention else {}),
        )
    except Exception as error:  # a damaged file shows itself as any of a dozen exceptions
        if ran_out(error):
            raise
        raise InputError(f"its weights cannot be loaded ({reason(error)})", str(folder), hint) from error
    _refuse_misfits(folder, info["mismatched_keys"])
    _refuse_parted(model)
    # nothing reads the pooled output of a plain encoder
    missing = sorted(key for key in info["missing_keys"] if kind != "encoder" or not key.startswith("pooler."))
    if missing:  # transformers would fill them with random numbers
        raise InputError(
            (
                f"its weights lack {missing[0]} and {len(missing) - 1} others"
                if missing[1:]
                else (f"its weights lack {missing[0]}")
            ),
            str(folder),
            hint,
        )
    if section.device_map is None:
        try:
            model = model.to(section.device)
        except (RuntimeError, AssertionError) as error:
            if ran_out(error):
                raise
            raise InputError(
                f"cannot use the device ({reason(error)})",
                f"[model] device {section.device!r}",
                'Choose a device this machine has, such as "cpu"',
            ) from error
    return model.eval().requires_grad_(False), tuple(sorted(info["unexpected_keys"]))


def _seen_attention(loader: Any, config: PreTrainedConfig) -> str:
    """Return scaled_dot_product_attention where the model can attend by it, else the plain softmax."""
    try:
        with torch.device("meta"):
            loader.from_config(config, attn_implementation=SEEN[0])
        return SEEN[0]
    except ValueError:  # it has no such code
        return SEEN[1]


def _placed(section: ModelSection) -> dict[str, object]:
    """Say how ``from_pretrained`` spreads the model over devices; nothing where it goes to one of them.

    Raises InputError for a device that this machine lacks, and MissingResourceError without accelerate.
    """
    if section.device_map is None:
        return {}
    if find_spec("accelerate") is None:
        raise MissingResourceError("device_map needs accelerate", "[model] device_map", "pip install accelerate")
    for device in {} if isinstance(section.device_map, str) else sorted(set(section.device_map.values())):
        try:
            _ = device == "disk" or torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(
                f"cannot use the device ({reason(error)})",
                f"[model] device_map {device!r}",
                'Choose devices this machine has, such as "cpu", or "disk"',
            ) from error
    return {"device_map": section.device_map}


def _refuse_quantised(config: PreTrainedConfig, folder: Path) -> None:
    """Whether a quantised product gives heads' outputs, and gradients, that can be relied on is not tried."""
    quantised = getattr(config, "quantization_config", None)
    if quantised is not None:
        read = quantised if isinstance(quantised, dict) else quantised.to_dict()
        raise InputError(
            f"its weights are quantised ({read.get('quant_method', 'by an unnamed method')})",
            str(folder),
            "Score the model it was made from, in bfloat16 or float16; device_map spreads what does not fit",
        )


def _refuse_misfits(folder: Path, misfits: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> None:
    """Raise InputError for weights of another shape than config.json asks for: transformers would draw random ones."""
    for name, saved, wanted in sorted(misfits, key=lambda misfit: misfit[0]):
        held, asked = (" × ".join(map(str, shape)) for shape in (saved, wanted))
        raise InputError(
            f"{name} is {held} in the weights and {asked} by config.json",
            str(folder),
            "Put back the config.json that the weights were saved with",
        )


def _refuse_parted(model: PreTrainedModel) -> None:
    """Raise InputError for a weight that two modules share, of which one is on disk.

    What loads modules from there looks for it by name.
    """
    devices = getattr(model, "hf_device_map", {})

    def device(weight: str) -> object:
        return next((devices[at] for at in sorted(devices, reverse=True) if f"{weight}.".startswith(f"{at}.")), None)

    for one, other in sorted((getattr(model, "all_tied_weights_keys", None) or {}).items()):
        if "disk" in (device(one), device(other)) and device(one) != device(other):
            raise InputError(
                f"{one} and {other} are one weight, put on {device(one)} and on {device(other)}",
                "[model] device_map",
                "Put both modules on the same device",
            )


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    hint = "Save the tokenizer there with tokenizer.save_pretrained"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as many kinds as there are tokenizer libraries
        raise InputError(f"its tokenizer cannot be loaded ({reason(error)})", str(folder), hint) from error
    if not tokenizer.is_fast:
        raise InputError(
            f"its tokenizer {type(tokenizer).__name__} gives no character offsets",
            str(folder),
            "Save a fast tokenizer (tokenizer.json) there",
        )
    return tokenizer


def reason(error: BaseException) -> str:
    """Say an exception in one line: the first of its message, or its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and warnings for the time of loading; what matters becomes an error."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # its functions carry no types
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
