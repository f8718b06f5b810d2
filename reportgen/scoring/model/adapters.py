"""PEFT adapters: read beside their base, merged into its weights, and tried against the model that runs with both."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reportgen.core.config import ModelSection
from reportgen.errors import InputError, MissingResourceError, ran_out, reason
from reportgen.scoring.model.folders import ADAPTER, ADAPTER_WEIGHTS, MERGE
from reportgen.storage.json_files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SAVED = ".modules_to_save."  # in the names of what PEFT saves whole
BASE = "base_model.model."  # what PEFT writes before the base's own names
CLASSES = ("score", "classifier", "out_proj")  # the modules whose outputs are a classifier's classes
CLASSIFIES, OTHER_TASKS = "SEQ_CLS", {"TOKEN_CLS": "token classification", "QUESTION_ANS": "question answering"}


@dataclass(frozen=True)
class Adapter:
    """A PEFT adapter as its folder holds it: its configuration, and the shape of every tensor of its weights."""

    folder: Path
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, folder: Path, section: ModelSection) -> Adapter:
        """Read an adapter's folder; raises InputError for what cannot be applied, MissingResourceError without peft."""
        content, location = read_json(folder / ADAPTER), str(folder)
        config: dict[str, Any] = content if isinstance(content, dict) else {}
        if find_spec("peft") is None:
            hint = f'pip install "reportgen[peft]", or merge the adapter elsewhere ({MERGE})'
            raise MissingResourceError("an adapter needs peft", location, hint)
        if section.device_map is not None:
            hint = f"Give device, or merge the adapter beforehand ({MERGE})"
            raise InputError("an adapter is merged on one device", "[model] device_map", hint)
        if task := OTHER_TASKS.get(str(config.get("task_type"))):
            hint = "Choose an adapter that was trained on text to write, or on classes of whole texts"
            raise InputError(f"the adapter is for {task}, which no metric here measures", location, hint)
        if not (folder / ADAPTER_WEIGHTS).is_file():
            pickled = (folder / "adapter_model.bin").is_file()
            problem = "adapter_model.bin is a pickle, which can run code when it is read" if pickled else "no weights"
            hint = "Load it where you trust it and save it again with save_pretrained, which writes safetensors"
            raise InputError(
                problem if pickled else f"the adapter's folder holds no {ADAPTER_WEIGHTS}",
                location,
                hint if pickled else "Copy the whole folder that PEFT wrote",
            )
        return cls(folder, config, _shapes(folder / ADAPTER_WEIGHTS))

    @property
    def files(self) -> list[Path]:
        """What makes the adapter what it is: its configuration and its weights."""
        return [self.folder / ADAPTER, self.folder / ADAPTER_WEIGHTS]

    @property
    def name(self) -> str:
        """The adapter's kind, and its rank where it has one."""
        rank = self.config.get("r")
        kind = str(self.config.get("peft_type", "adapter"))
        return f"{kind} of rank {rank}" if isinstance(rank, int) and rank > 0 else kind

    @property
    def classes(self) -> int | None:
        """The number of a classifier's classes (None: the adapter is for none, or does not hold its head)."""
        if self.config.get("task_type") != CLASSIFIES:
            return None
        heads = [s for name, s in sorted(self.shapes.items()) if name.split(".")[-2:-1] in [[c] for c in CLASSES]]
        return heads[-1][0] if heads else None

    @property
    def given(self) -> set[str]:
        """The base's own tensors that the adapter brings whole."""
        return {name.removeprefix(BASE) for name in self.shapes}

    def merged(self, model: PreTrainedModel, run: Callable[[PreTrainedModel], Tensor]) -> PreTrainedModel:
        """Return the model with the adapter merged into its weights.

        ``run`` puts out the model's logits for a short text: those of the merged weights must be those of the base with
        the adapter beside it. Raises InputError where they are not, as of adapters that act on some tokens alone, or
        where the adapter does not fit the model.
        """
        import peft

        location, hint = str(self.folder), "Give the base model that the adapter was trained on"
        self._widen(model)
        alone = run(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is missing or left over is an error below
            try:
                beside: Any = peft.PeftModel.from_pretrained(model, str(self.folder))
                placed = beside.load_adapter(str(self.folder), "default")  # once more, for what had no place
            except Exception as error:  # peft has no exceptions of its own
                problem = f"the adapter cannot be applied ({reason(error)})"
                raise _unless_memory(error, problem, location, hint) from error
            other = f"Choose an adapter that can be merged into the weights, such as LoRA, or give {self._base} alone"
            if getattr(beside.active_peft_config, "is_prompt_learning", False):
                problem = f"the adapter ({self.name}) puts tokens of its own before the text"
                raise InputError(f"{problem} and cannot be merged into the weights", location, other)
            # peft itself saves what it also saves under the base's own name a second time under its wrapper's
            own = {name for name in placed.unexpected_keys if SAVED in name}
            twice = {name for name in own if name.replace(SAVED, ".") in self.shapes}
            _refuse_misplaced({*placed.missing_keys, *placed.unexpected_keys} - twice, location, hint)
            try:
                expected = run(beside.base_model.model)
                whole: PreTrainedModel = beside.merge_and_unload(safe_merge=True)
                found = run(whole)
            except Exception as error:
                problem = f"the adapter ({self.name}) cannot be merged into the weights ({reason(error)})"
                raise _unless_memory(error, problem, location, other) from error
        _refuse_unlike(found, expected, alone, f"the adapter ({self.name})", location, other)
        return whole

    @property
    def _base(self) -> str:
        return str(self.config.get("base_model_name_or_path") or "the base model")

    def _widen(self, model: PreTrainedModel) -> None:
        """Give the model as many tokens as the adapter has embeddings for, where it brings them all."""
        table: Any = model.get_input_embeddings()
        path = next((name for name, module in model.named_modules() if module is table), "")
        shape = self.shapes.get(f"{BASE}{path}.weight")
        if shape is not None and shape[0] != table.weight.shape[0]:
            model.resize_token_embeddings(shape[0])


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        hint = "Copy the adapter's folder again"
        raise InputError(f"its weights cannot be read ({reason(error)})", str(path), hint) from error


def _unless_memory(error: Exception, problem: str, location: str, hint: str) -> Exception:
    return error if ran_out(error) else InputError(problem, location, hint)


def _refuse_misplaced(names: Iterable[str], location: str, hint: str) -> None:
    if first := next(iter(sorted(names)), None):
        raise InputError(f"the adapter and the model do not fit: {first} is in one of them alone", location, hint)


def _refuse_unlike(found: Tensor, expected: Tensor, alone: Tensor, what: str, location: str, hint: str) -> None:
    """Raise InputError where merged weights do not put out what base and adapter do side by side.

    In float32 they differ by the rounding of a sum taken in another order, in narrower formats by that of each weight,
    and deep models make more of it than 1e-4. It is rounding too where it is a hundredth of what the adapter changes of
    the base ``alone``: an adapter that is merged wrongly is wrong by as much as it changes.
    """
    bound = 1e-4 if expected.dtype.itemsize >= 4 else 16 * torch.finfo(expected.dtype).eps
    found, expected, alone = found.double(), expected.double(), alone.double()
    changed = float((expected - alone).abs().max()) if alone.shape == expected.shape else 0.0
    tolerance = max(bound * max(1.0, float(expected.abs().max())), 0.01 * changed)
    if not torch.allclose(found, expected, rtol=0, atol=tolerance):
        raise InputError(f"{what} merged into the weights is not what it is beside them", location, hint)
