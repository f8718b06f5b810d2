"""A model folder's chat template is another's code: it is filled in a process of its own, with limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reportgen.core.confined import Confined, Fill
from reportgen.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CALLED = "the tokenizer's chat template"
Turns = Sequence[tuple[str, str]]  # who speaks, and what


class Chat:
    """Writes the turns of a chat as a tokenizer's template does; one process serves all rows.

    Raises InputError where the tokenizer has several templates and none that is meant here.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, location: str) -> None:
        try:
            template = tokenizer.get_chat_template()
        except ValueError as error:
            raise InputError(
                f"{CALLED} cannot be told from others ({error})",
                location,
                "Remove the key, or name one of its templates 'default'",
            ) from error
        name = str(getattr(tokenizer, "name_or_path", "") or "")
        self._name = f"({name})" if name else ""
        setting = (template, dict(tokenizer.special_tokens_map))
        self._fill = Confined("reportgen.scoring.data.chat_templates:filling", setting, location, CALLED)

    def written(self, turns: Turns) -> str:
        """Write the turns, after which the assistant's begins; raises InputError where the template cannot."""
        return self._fill(self._name, [{"role": role, "content": text} for role, text in turns])


def filling(setting: tuple[str, dict[str, Any]]) -> Fill:
    """Return what fills a chat template, with transformers' own filters and names; it loads no torch."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    template, special = setting

    def fill(name: str, messages: list[dict[str, str]]) -> str:
        try:
            made = render_jinja_template([messages], chat_template=template, add_generation_prompt=True, **special)
        except (MemoryError, InputError):
            raise
        except Exception as error:
            refused = isinstance(error, TemplateError)
            reason = str(error).rstrip(".") if refused else f"{type(error).__name__}: {error}"
            problem = f"{' '.join(filter(None, [CALLED, name]))} {'refuses the turns' if refused else 'fails'}"
            raise InputError(f"{problem} ({reason[:500]})", "", "") from error
        return str(made[0][0])

    return fill
