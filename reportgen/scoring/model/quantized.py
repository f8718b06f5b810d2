"""Weights that are stored quantised: what they were, and how they are had in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from reportgen.errors import InputError, MissingResourceError, reason

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

# What reads a GGUF file and saves its weights in full: save_pretrained on the model itself refuses, for it calls the
# model quantised still.
CONVERT = (
    "m = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32); "
    "del m.config.quantization_config; w = type(m)(m.config); w.load_state_dict(m.state_dict()); "
    "w.save_pretrained(new); "
    "AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(new)"
)


def of_gguf(path: Path) -> str:
    """Name the formats in which a GGUF file holds its tensors, and how many each: ``Q4_1 (211), F32 (61)``.

    Raises MissingResourceError without gguf, and InputError for a file that cannot be read or is one part of several.
    """
    location = str(path)
    if find_spec("gguf") is None or find_spec("accelerate") is None:
        hint = f'pip install "reportgen[gguf]", or convert it where gguf and accelerate are installed: {CONVERT}'
        raise MissingResourceError("a GGUF file needs gguf and accelerate", location, hint)
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except Exception as error:  # a damaged file shows itself as any of a dozen exceptions
        hint = "Copy the file again"
        raise InputError(f"the GGUF file cannot be read ({reason(error)})", location, hint) from error
    if (parts := reader.get_field("split.count")) is not None and int(parts.contents()) > 1:
        hint = "Join the parts with llama.cpp's `llama-gguf-split --merge`, and give the whole file"
        raise InputError(f"the GGUF file is one of {parts.contents()} parts", location, hint)
    types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    return ", ".join(f"{name} ({count})" for name, count in types.most_common())


# What transformers unpacks while it loads, and what it loads packed and unpacks then
AT_LOAD, AFTERWARDS = ("mxfp4", "fp8"), ("bitsandbytes",)
ORIGINAL = "Score the model it was made from, in bfloat16 or float16; device_map spreads what does not fit"


def stored(config: PreTrainedConfig, folder: Path) -> str | None:
    """Name the format in which config.json says that the weights are quantised (None: they are not), and ask for them
    in full.

    A quantised product has no gradients, or none that can be relied on, so nothing is scored as it is stored. Raises
    InputError for formats that transformers cannot turn back, and MissingResourceError without the library for one.
    """
    packed: Any = getattr(config, "quantization_config", None)
    if packed is None:
        return None
    read = dict(packed if isinstance(packed, dict) else packed.to_dict())
    method = str(read.get("quant_method", "by an unnamed method")).removesuffix("_4bit").removesuffix("_8bit")
    if method not in (*AT_LOAD, *AFTERWARDS):
        raise InputError(f"its weights are quantised ({method})", str(folder), ORIGINAL)
    if method in AT_LOAD:
        config.quantization_config = {**read, "dequantize": True}
    if method in AFTERWARDS and find_spec(method) is None:
        hint = f'pip install "reportgen[{method}]", or score the model it was made from'
        raise MissingResourceError(f"its weights are quantised, which needs {method}", str(folder), hint)
    detail = read.get("bnb_4bit_quant_type") if read.get("load_in_4bit") else None
    return f"{method} {detail}" if detail else method


def in_full(
    model: PreTrainedModel, dtype: torch.dtype, folder: Path, run: Callable[[PreTrainedModel], Tensor]
) -> tuple[PreTrainedModel, float | None]:
    """Return a model whose weights were stored quantised with all of them as plain numbers, and how far what ``run``
    has it put out is from what the packed weights did: a share of the greatest number (None: they were never at hand).

    Raises InputError where a weight stays packed.
    """
    apart = None
    if _packed(model):
        try:
            packed_output = run(deepcopy(model)).double()  # bitsandbytes packs weights anew as a CPU first runs them
            model = cast(Any, model).dequantize(dtype=dtype)
            apart = float((run(model).double() - packed_output).abs().max() / packed_output.abs().max())
        except Exception as error:  # of the libraries that packed it
            problem = f"its weights are quantised and cannot be had in full ({reason(error)})"
            raise InputError(problem, str(folder), ORIGINAL) from error
    if packed := _packed(model):
        raise InputError(f"its weights are quantised, and {packed[0]} cannot be had in full", str(folder), ORIGINAL)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # what is scored are plain numbers now, wherever the file lay
    return cast("PreTrainedModel", cast(Any, model).to(dtype)), apart


def _packed(model: PreTrainedModel) -> list[str]:
    return [name for name, weight in model.named_parameters() if not weight.is_floating_point()]
