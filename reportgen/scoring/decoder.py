"""Load a decoder from a local folder or the hub: safetensors only, no code of the model's own."""

import difflib
import hashlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from reportgen.errors import InputError
from reportgen.scores import Model
from reportgen.scoring import heads as heads_module
from reportgen.scoring.heads import Heads, recorded, resumed
from reportgen.scoring.tokens import Batch
from reportgen.store import read_json
from reportgen.study import ModelSection

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
LARGE = 1e4  # a factor on the logits that no soft cap or scale survives unseen


@dataclass(frozen=True)
class Decoder:
    """A causal language model in eval mode with frozen parameters, its tokenizer and its heads.

    ``logits`` says how logits at answer positions are had: ``head`` (hidden states, then the output embeddings on those
    positions alone), ``keep`` (the model's ``logits_to_keep``) or ``whole`` (every position, then selected).
    ``resumes`` says that a run may start from a layer's recorded output; ``context`` is the greatest length in tokens
    (None: unlimited).
    """

    model: Any
    tokenizer: Any
    heads: Heads
    logits: Literal["head", "keep", "whole"]
    resumes: bool
    context: int | None
    described: Model

    @property
    def device(self) -> torch.device:
        """Where the model's inputs go."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    def answer_logits(self, batch: Batch) -> Float[Tensor, "answer_token vocabulary"]:
        """Logits that predict each answer token of the batch; half-precision ones are widened to float32."""
        if self.logits == "head":
            hidden = _run(self.model.base_model, batch).last_hidden_state
            chosen = self.model.get_output_embeddings()(hidden[batch.owner, batch.position])
        elif self.logits == "keep":
            kept, place = torch.unique(batch.position, return_inverse=True)
            chosen = _run(self.model, batch, logits_to_keep=kept).logits[batch.owner, place]
        else:
            chosen = _run(self.model, batch).logits[batch.owner, batch.position]
        wide: Tensor = chosen if chosen.dtype in (torch.float32, torch.float64) else chosen.float()
        return wide


def load(section: ModelSection, as_given: str | None = None) -> Decoder:
    """Load the study's model; ``as_given`` is its path as the study file writes it.

    Raises InputError for a folder that does not exist or holds no safetensors weights, for pickled weights, for
    weights that do not fill the model, for encoders and encoder-decoders, and for models whose heads cannot be found.
    """
    local = Path(section.path).expanduser()
    folder, revision = (local, None) if local.exists() else _download(section)
    weights = _weights(folder)
    with _quiet():
        config = _config(folder)
        model = _model(folder, config, section)
        tokenizer = _tokenizer(folder)
    found = _checked_heads(model)
    described = Model(as_given or section.path, revision, _hash(weights), found.kv_groups)
    context = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None) or getattr(
        config, "max_seq_len", None
    )
    resumes = _resumes(model, found)
    return Decoder(model, tokenizer, found, _logits_way(model), resumes, context, described)


def _download(section: ModelSection) -> tuple[Path, str | None]:
    """A hub model's folder in the local cache and its commit; only its safetensors and small files are fetched."""
    from huggingface_hub import snapshot_download

    path, looks_local = section.path, section.path.startswith((".", "/", "~")) or section.path.count("/") > 1
    if looks_local or "\\" in path:
        raise InputError("no such model folder", path, "Check [model] path in the study file")
    try:
        folder = Path(snapshot_download(path, revision=section.revision, ignore_patterns=["*/*", *PICKLES, "*.h5",
                                        "*.msgpack", "*.gguf", "*.onnx", "consolidated*"]))  # fmt: skip
    except Exception as error:  # the hub's client raises some twenty kinds, from HTTP to name validation
        mend = "Check [model] path in the study file, and the network if it is a hub id"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        problem = f"no such model folder, and the hub gave no such model ({reason.rstrip('.')})"
        raise InputError(problem, path, mend) from error
    return folder, folder.name


def _weights(folder: Path) -> list[Path]:
    place = str(folder)
    if not (folder / "config.json").is_file():
        whole = "Save the model there with model.save_pretrained and tokenizer.save_pretrained"
        raise InputError("the model folder holds no config.json", place, whole)
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if index.is_file():
        return _shards(folder, index)
    pickles = sorted(p.name for pattern in PICKLES for p in folder.glob(pattern) if p.name != "training_args.bin")
    if pickles:
        mend = "Load them where you trust them and save again with model.save_pretrained, which writes safetensors"
        raise InputError(f"{pickles[0]} is a pickle, which can run code when it is read", place, mend)
    raise InputError("the model folder holds no weights", place, "Put model.safetensors there")


def _shards(folder: Path, index: Path) -> list[Path]:
    mend = "Copy the whole model folder again"
    content = read_json(index)
    named = content.get("weight_map") if isinstance(content, dict) else None
    names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
    for name in names:
        if not (folder / name).is_file():
            raise InputError(f"{name} is missing, which {index.name} names", str(folder), mend)
    if not names:
        raise InputError("it names no weights", str(index), mend)
    return [folder / name for name in names]


def _config(folder: Path) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        mend = "Choose a model that transformers knows without code of the model's own"
        raise InputError(f"its config.json cannot be used ({_reason(error)})", str(folder), mend) from error
    kind = config.model_type
    encoder = kind in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False)
    if getattr(config, "is_encoder_decoder", False) or encoder:
        what = "an encoder-decoder" if config.is_encoder_decoder else "an encoder"
        mend = "Choose a causal language model such as Llama or GPT-2"
        raise InputError(f"{kind} is {what}; this version scores decoder-only models", str(folder), mend)
    if kind not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        mend = "Choose a causal language model such as Llama or GPT-2"
        raise InputError(f"{kind} is no causal language model; this version scores decoder-only models",
                         str(folder), mend)  # fmt: skip
    return config


def _model(folder: Path, config: Any, section: ModelSection) -> Any:
    from transformers import AutoModelForCausalLM

    mend = "Save the model again with model.save_pretrained"
    try:
        loader: Any = AutoModelForCausalLM
        model, info = loader.from_pretrained(
            folder, config=config, dtype=getattr(torch, section.dtype), use_safetensors=True, local_files_only=True,
            trust_remote_code=False, output_loading_info=True,
        )  # fmt: skip
    except Exception as error:  # a damaged file shows itself as any of a dozen exceptions
        raise InputError(f"its weights cannot be loaded ({_reason(error)})", str(folder), mend) from error
    missing = sorted(info["missing_keys"])
    if missing:  # transformers would fill them with random numbers
        problem = f"its weights lack {missing[0]} and {len(missing) - 1} others" if missing[1:] else (
            f"its weights lack {missing[0]}")  # fmt: skip
        raise InputError(problem, str(folder), mend)
    try:
        model = model.to(section.device)
    except (RuntimeError, AssertionError) as error:
        mend = 'Choose a device this machine has, such as "cpu"'
        raise InputError(f"cannot use the device ({_reason(error)})", f"[model] device {section.device!r}", mend
                         ) from error  # fmt: skip
    return model.eval().requires_grad_(False)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    mend = "Save the tokenizer there with tokenizer.save_pretrained"
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as many kinds as there are tokenizer libraries
        raise InputError(f"its tokenizer cannot be loaded ({_reason(error)})", str(folder), mend) from error
    if not tokenizer.is_fast:
        problem = f"its tokenizer {type(tokenizer).__name__} gives no character offsets"
        raise InputError(problem, str(folder), "Save a fast tokenizer (tokenizer.json) there")
    return tokenizer


def _reason(error: BaseException) -> str:
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
def _quiet() -> Iterator[None]:
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


def _run(module: Any, batch: Batch, **extra: Any) -> Any:
    known = inspect.signature(module.forward).parameters
    wanted = {"position_ids": batch.position_ids, "use_cache": False, "return_dict": True}
    passed = {name: value for name, value in wanted.items() if name in known}
    return module(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **passed, **extra)


def short_batch(model: Any, rows: int, tokens: int = 5) -> Batch:
    """The same short text ``rows`` times over, for checks; its last token is nobody's answer."""
    size = model.get_input_embeddings().weight.shape[0]
    device = model.get_input_embeddings().weight.device
    ids = (torch.arange(tokens, device=device) * 7 + 3) % size
    places = torch.arange(tokens, device=device).repeat(rows, 1)
    owner, position = torch.arange(rows, device=device), torch.full((rows,), tokens - 2, device=device)
    target = ids[-1].repeat(rows)
    return Batch(ids.repeat(rows, 1), torch.ones_like(places), places, owner, position, target, None)


def _checked_heads(model: Any) -> Heads:
    """The model's heads, checked by running it; refuses a model in which later tokens move earlier ones."""

    @torch.no_grad()
    def output(ids: Int[Tensor, "example token"], batch: Batch) -> Float[Tensor, "example token vocabulary"]:
        changed = Batch(ids, batch.attention_mask, batch.position_ids, batch.owner, batch.position, batch.target, None)
        logits: Tensor = _run(model, changed).logits
        return logits

    found, batch = heads_module.find(model), short_batch(model, 2)
    ids = batch.input_ids.clone()
    ids[1, -1] = (ids[1, -1] + 1) % model.get_input_embeddings().weight.shape[0]
    first, second = output(ids, batch)[:, :-1].float()
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-3, equal_nan=True):  # NaN is told of by example, later
        problem = "a later token changes an earlier one's logits; this version scores decoder-only models"
        raise InputError(problem, type(model).__name__, "Choose a causal language model such as Llama or GPT-2")

    def run(rows: int) -> Tensor:
        repeated = short_batch(model, rows)
        return output(repeated.input_ids, repeated)

    return heads_module.check(found, run)


def _logits_way(model: Any) -> Literal["head", "keep", "whole"]:
    """Whether the output embeddings on the base model's hidden states make the model's logits, and nothing else does.

    The output embeddings are made to shout: a soft cap or scale after them, however gentle, then shows.
    """
    batch, seen, shouted = short_batch(model, 1), list[Tensor](), list[Tensor]()
    fallback: Literal["keep", "whole"] = (
        "keep" if "logits_to_keep" in inspect.signature(model.forward).parameters else "whole"
    )
    head = model.get_output_embeddings()
    if head is None or model.base_model is model:
        return fallback

    def hook(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append(inputs[0])
        shouted.append(output * LARGE)
        return shouted[-1]

    handle = head.register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits = _run(model, batch).logits
            hidden = getattr(_run(model.base_model, batch), "last_hidden_state", None)
    finally:
        handle.remove()
    same = len(seen) == 1 and hidden is not None and hidden.shape == seen[0].shape and torch.equal(hidden, seen[0])
    return "head" if same and torch.equal(logits, shouted[0].to(logits.dtype)) else fallback


@torch.no_grad()
def _resumes(model: Any, heads: Heads) -> bool:
    """Whether runs resumed from recorded outputs agree with a whole run; false for models that re-enter layers."""
    outputs, batch = list[Any](), short_batch(model, 2)
    batch.input_ids[1] = batch.input_ids[1].flip(0)
    with recorded(heads, outputs):
        whole = _run(model, batch).logits
    if len(outputs) != len(heads.layers):
        return False
    many = batch.repeated(2)
    for layer in {min(1, len(outputs) - 1), len(outputs) // 2, len(outputs) - 1}:
        try:
            with resumed(heads, layer, outputs, 2):
                again = _run(model, many).logits
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
            return False  # what a layer needs beside the stream was made in a layer below: whole runs then
        # the same arithmetic in a batch of another size: equal but for rounding
        if not torch.allclose(again, whole.repeat(2, 1, 1), rtol=1e-4, atol=float(whole.abs().max()) * 1e-5):
            return False
    return True


def nearest(name: str, known: list[str]) -> str:
    """How to mend an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"The nearest known one is {near[0]!r}" if near else f"Known here: {', '.join(known)}"
