"""Read a model's folder: its configuration, weights and tokenizer; safetensors only, no code of the model's own."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reportgen.core.config import ModelSection, TasksSection
from reportgen.errors import InputError, MissingResourceError, ran_out, reason
from reportgen.scoring.data.batches import Kind
from reportgen.scoring.data.encoding import Options
from reportgen.scoring.model.adapters import Adapter
from reportgen.scoring.model.folders import PICKLES, Located, located
from reportgen.scoring.model.forward import forward, short_batch
from reportgen.scoring.model.quantized import in_full, of_gguf, stored
from reportgen.storage.json_files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

COMPILED = r"_orig_mod\."  # what torch.compile puts before the names of what it wraps
SEEN = ("sdpa", "eager")  # the ways to attend whose heads are seen
# What the last word of an architecture's name says of it, where it is no model that writes text
HEADS: dict[str, Kind] = {
    "ForSequenceClassification": "classifier",
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
MAPPINGS = {
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "images": "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "masked": "MODEL_FOR_MASKED_LM_MAPPING",
    "classifier": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "encoder": "MODEL_MAPPING",
}
WRITES = ("ForConditionalGeneration", "ForCausalLM", "ForSeq2SeqLM", "LMHeadModel")  # models that write text
SENSES = {"pixel_values": "images", "flattened_patches": "images", "input_features": "sound", "input_values": "sound"}
LOCAL = {"local_files_only": True, "trust_remote_code": False}
NO_ADAPTER = "no-adapter"
CROSSES = re.compile("cross_?att|(en|de)coder_att", re.IGNORECASE)  # in the path of what reads an image's encoder
TEXT_ONLY = "Choose a causal, masked or sequence-to-sequence language model"


@dataclass(frozen=True)
class Folder:
    """A model as its folder holds it, in eval mode with frozen parameters on its device.

    ``unplaced`` names the folder's weights that the model has no place for; ``beside`` is what the model reads beside
    text (None: nothing), ``left_over`` an adapter that lies beside the weights and is not applied; ``told`` are
    sentences on what is done otherwise than the folder asks for.
    """

    model: PreTrainedModel
    unplaced: tuple[str, ...]
    tokenizer: PreTrainedTokenizerBase
    kind: Kind
    revision: str | None
    weights: Weights
    beside: str | None = None
    left_over: bool = False
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Weights:
    """What a model's weights are: the ``sha256`` of all files that they were made of, the format that they were stored
    in if it was a quantised one, and of a base model with an adapter what ``adapter`` it is and each part's own hash.
    ``apart`` is how far the logits of packed and of plain weights lie apart, as a share of the greatest.
    """

    sha256: str
    quantization: str | None = None
    apart: float | None = None
    adapter: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)


def read_folder(section: ModelSection) -> Folder:
    """Load the model that [model] names, with its adapter.

    Raises InputError for a folder that does not exist or holds no safetensors weights, for pickled weights, for
    weights that do not fit or fill the model, for quantised ones that cannot be had in full, and for architectures that
    transformers does not know without their own code or that read or write something else than text.
    """
    found = located(section)
    files = [found.gguf] if found.gguf else _weights(found.folder)
    with quiet():
        adapter = None if found.adapter is None else Adapter.of(found.adapter, section)
        quantization = of_gguf(found.gguf) if found.gguf else None
        config = _config(found)
        quantization = quantization or stored(config, found.folder)
        _refuse_pruned(config, found.folder)
        reading = _reading(config, found.folder, adapter)
        compiled = found.gguf is None and _compiled(files)
        asked = unseen_attention(found.folder)
        attention = None if asked is None else _seen_attention(config)
        whole = quantization is not None
        model, unplaced, apart = _model(found, config, reading, section, compiled, adapter, whole, attention)
        tokenizer = _tokenizer(found)
    weights = Weights(_hash(files), quantization, apart)
    if adapter is not None:
        parts = {"base": weights.sha256, "adapter": _hash(adapter.files)}
        weights = Weights(_hash([*files, *adapter.files]), quantization, apart, adapter.name, parts)
    kind = _kind(model, reading)
    told = () if asked is None else (f"its configuration asks for {asked}; attention is computed by {attention}",)
    return Folder(model, unplaced, tokenizer, kind, found.revision, weights, reading.beside, found.left_over, told)


def read_tokenizer(section: ModelSection, tasks: TasksSection) -> tuple[PreTrainedTokenizerBase, Options]:
    """Read the tokenizer of the model that [model] names, and how the model reads rows; none of its weights is read.

    Raises InputError as ``read_folder`` does.
    """
    found = located(section)
    with quiet():
        config, tokenizer = _config(found), _tokenizer(found)
        reading = _reading(config, found.folder, None)
    longest = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    limits = [n for n in (longest, tokenizer.model_max_length) if isinstance(n, int) and 0 < n < 10**9]
    context = min(limits, default=None)
    unbuilt: Any = SimpleNamespace(config=config)
    return tokenizer, Options.of(reading.kind, unbuilt, tasks, context=context)


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


def _config(found: Located) -> PreTrainedConfig:
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(found.folder, **_file(found), **LOCAL)
        return config
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        if found.gguf:
            problem = f"it holds no model that transformers reads ({reason(error)})"
            raise InputError(problem, str(found.gguf), "Score the model it was made from, as safetensors") from error
        raise InputError(
            f"its config.json cannot be used ({reason(error)})",
            str(found.folder),
            "Choose a model that transformers knows without code of the model's own",
        ) from error


def _file(found: Located) -> dict[str, str]:
    return {"gguf_file": found.gguf.name} if found.gguf else {}


@dataclass(frozen=True)
class _Reading:
    """How a model is loaded, what it puts out, and what it reads beside text (None: nothing). ``tower``: the model as a
    whole reads no text alone, but its text tower does.
    """

    kind: Kind
    loader: Any
    beside: str | None = None
    tower: bool = False


def _reading(config: PreTrainedConfig, folder: Path, adapter: Adapter | None) -> _Reading:
    """Say what the folder's model puts out: by the architecture that its config names, else by its type.

    Raises InputError for models that read no text, and for those that put out neither tokens nor the class of a text.
    """
    import transformers

    if adapter is not None and adapter.classes is not None:
        config.num_labels = adapter.classes
        return _Reading("classifier", transformers.AutoModelForSequenceClassification)
    named = str((getattr(config, "architectures", None) or [""])[0])
    for ending, kind in HEADS.items():
        if named.endswith(ending) and _mapped(kind, config):
            return _Reading(kind, getattr(transformers, LOADERS[kind]))
    made = getattr(transformers, named, None) if named else None
    if isinstance(made, type) and issubclass(made, transformers.PreTrainedModel) and _made_for(made, config):
        return _writing(made, config, folder)
    if "For" in named and not named.endswith(WRITES):
        problem = f"{named} puts out neither words nor the class of a text, so no metric here measures it"
        raise InputError(problem, str(folder), f"{TEXT_ONLY}, or a classifier of whole texts")
    if named.endswith("Model") and _mapped("masked", config) and not getattr(config, "is_decoder", False):
        return _Reading("encoder", transformers.AutoModel)
    for mapping in ("seq2seq", "causal", "images"):
        if (mapping != "seq2seq" or config.is_encoder_decoder) and (found := _mapped(mapping, config)):
            return _writing(found, config, folder)
    if _mapped("encoder", config):
        return _Reading("encoder", transformers.AutoModel)
    problem = f"{config.model_type} is no language model, encoder or classifier that transformers loads"
    raise InputError(problem, str(folder), TEXT_ONLY)


def _mapped(mapping: str, config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """Return the class that transformers has for a type of model and this use of it."""
    import transformers

    known = getattr(transformers, MAPPINGS[mapping])
    found: Any = known.get(type(config), None)
    chosen: type[PreTrainedModel] | None = found[0] if isinstance(found, tuple | list) else found
    return chosen


def _made_for(made: type[PreTrainedModel], config: PreTrainedConfig) -> bool:
    """Whether a class writes text, and is meant for configurations of this type."""
    return bool(made.can_generate()) and isinstance(config, made.config_class or ())


def _writing(made: type[PreTrainedModel], config: PreTrainedConfig, folder: Path) -> _Reading:
    """Say how a model that writes text reads it; raise InputError for one that reads something else."""
    decodes = config.is_encoder_decoder and "decoder_input_ids" in inspect.signature(made.forward).parameters
    kind: Kind = "seq2seq" if decodes else "causal"
    beside = "images" if _mapped("images", config) is made else None
    if made.main_input_name == "input_ids":
        return _Reading(kind, made, beside)
    sense = SENSES.get(made.main_input_name, made.main_input_name)
    if sense == "images":
        return _Reading(kind, made, sense, tower=True)
    problem = f"{made.__name__} reads {sense}, and rows of {sense} are not scored"
    raise InputError(problem, str(folder), TEXT_ONLY)


def _tower(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Return the part of a model of images and text that reads and writes text alone."""
    import transformers

    part: Any
    for part in model.children():
        if not isinstance(part, transformers.PreTrainedModel) or part.get_output_embeddings() is None:  # type: ignore[no-untyped-call]
            continue
        encodes = "decoder_input_ids" in inspect.signature(part.forward).parameters  # then it crosses to itself
        if encodes or not any(CROSSES.search(name) for name, _ in part.named_modules()):
            return part
    problem = f"{type(model).__name__} reads images, and has no part that reads text without them"
    raise InputError(problem, str(folder), TEXT_ONLY)


def _compiled(weights: list[Path]) -> bool:
    """Whether weights are those of a model that torch.compile had wrapped, or parts of it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights[0], "pt") as file:
            return any(re.search(COMPILED, name) for name in file.keys())  # noqa: SIM118
    except SafetensorError:  # an error once they are loaded
        return False


def _model(
    found: Located,
    config: PreTrainedConfig,
    reading: _Reading,
    section: ModelSection,
    compiled: bool,
    adapter: Adapter | None,
    quantized: bool,
    attention: str | None,
) -> tuple[PreTrainedModel, tuple[str, ...], float | None]:
    hint, placed, folder = "Save the model again with model.save_pretrained", _placed(section), found.folder
    dtype = getattr(torch, section.dtype)
    model: Any
    try:
        model, info = reading.loader.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            # an adapter beside the weights is applied where the study says so, not where peft happens to be installed:
            # transformers is made to look for one in a folder that is not there
            adapter_kwargs={"subfolder": NO_ADAPTER},
            **LOCAL,
            **_file(found),
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
    brought = adapter.given if adapter else set()
    missing = sorted(
        key  # nothing reads the pooled output of a plain encoder
        for key in info["missing_keys"]
        if key not in brought and (reading.kind != "encoder" or not key.startswith("pooler."))
    )
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
    model.requires_grad_(False)

    def run(whole: PreTrainedModel) -> Tensor:
        return _logits(_scored(whole, reading, folder), reading)

    model, apart = in_full(model, dtype, folder, run) if quantized else (model, None)
    if adapter is not None:
        model = adapter.merged(model, run)
    model = _scored(model, reading, folder)
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
    return model.eval().requires_grad_(False), tuple(sorted(info["unexpected_keys"])), apart


def _scored(model: PreTrainedModel, reading: _Reading, folder: Path) -> PreTrainedModel:
    return _tower(model, folder) if reading.tower else model


@torch.no_grad()
def _logits(model: PreTrainedModel, reading: _Reading) -> Tensor:
    kind = _kind(model, reading)
    logits: Tensor = forward(model, kind, short_batch(model, kind, 1))[0]
    return logits


def _kind(model: PreTrainedModel, reading: _Reading) -> Kind:
    """Say what the scored part of a model puts out: a text tower may be another kind than the whole."""
    return ("seq2seq" if model.config.is_encoder_decoder else "causal") if reading.tower else reading.kind


def _seen_attention(config: PreTrainedConfig) -> str:
    """Return scaled_dot_product_attention where the model can attend by it, else the plain softmax."""
    import transformers

    loader: Any = transformers.AutoModel  # its functions carry no types
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


def _tokenizer(found: Located) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    folder, hint = found.tokenizer, "Save the tokenizer there with tokenizer.save_pretrained"
    files = _file(found) if folder == found.folder and not (folder / "tokenizer_config.json").is_file() else {}
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **files, **LOCAL)
    except ImportError as error:
        problem = f"its tokenizer cannot be loaded ({reason(error).partition('. ')[0]})"
        raise MissingResourceError(problem, str(folder), "Install that library with pip") from error
    except Exception as error:  # as many kinds as there are tokenizer libraries
        raise InputError(f"its tokenizer cannot be loaded ({reason(error)})", str(folder), hint) from error
    return tokenizer


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
        with redirect_stderr(StringIO()):  # the bar of a GGUF file's blocks is not transformers' own to switch off
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
