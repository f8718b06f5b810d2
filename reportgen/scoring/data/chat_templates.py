"""A model folder's chat template is another's code: it is filled in a process of its own, with limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reportgen.core.confined import Confined, Fill
from reportgen.errors import InputError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CALLED = "the tokenizer's chat template"
CLOCK = "strftime_now"  # what transformers calls the function by which a template reads the clock
# The day that a template's clock shows: prompts that change from day to day would be other inputs each time. It is the
# one that Llama 3.1's template, the first to print a date, writes where nobody gives another.
DAY = date(2024, 7, 26)
# what a chat template is given by other keys, or by nobody
TAKEN = (
    "messages",
    "conversations",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "return_assistant_tokens_mask",
)
Turns = Sequence[tuple[str, str]]  # who speaks, and what


class Chat:
    """Writes the turns of a chat as a tokenizer's template does; one process serves all rows.

    ``values`` are the study's for the template's own variables. Its clock stands still (see ``DAY``).
    Raises InputError where the tokenizer has several templates and none that is meant here, and for values that the
    template does not read.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, location: str, values: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
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
        _refuse_unread(template, values)
        own: dict[str, Any] = {**tokenizer.special_tokens_map, **values, CLOCK: _day(values.get(CLOCK, DAY))}
        setting = (template, own)
        self._fill = Confined("reportgen.scoring.data.chat_templates:filling", setting, location, CALLED)

    def written(self, turns: Turns) -> str:
        """Write the turns, after which the assistant's begins; raises InputError where the template cannot."""
        return self._fill(self._name, [{"role": role, "content": text} for role, text in turns])


def reads_clock(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer's chat template reads the clock."""
    return CLOCK in str(tokenizer.chat_template)


def _refuse_unread(template: str, values: Mapping[str, Any]) -> None:
    location, words = "[tasks] chat_template_kwargs", set(re.findall(r"[A-Za-z_]\w*", template))
    for name in values:
        if name in TAKEN:
            raise InputError(f"{name!r} is no value to be given", location, "Remove it")
        if name not in words:
            raise InputError(f"{CALLED} reads no {name!r}", location, nearest(name, sorted(words)))


def _day(value: object) -> date:
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError as error:
        raise InputError(
            f"{CLOCK} is {value!r}", "[tasks] chat_template_kwargs", "Give the day as 2024-07-26"
        ) from error


def filling(setting: tuple[str, dict[str, Any]]) -> Fill:
    """Return what fills a chat template, with transformers' own filters and names; it loads no torch."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    template, values = setting
    stop_clock(values.pop(CLOCK))

    def fill(name: str, messages: list[dict[str, str]]) -> str:
        try:
            made = render_jinja_template([messages], chat_template=template, add_generation_prompt=True, **values)
        except (MemoryError, InputError):
            raise
        except Exception as error:
            refused = isinstance(error, TemplateError)
            reason = str(error).rstrip(".") if refused else f"{type(error).__name__}: {error}"
            problem = f"{' '.join(filter(None, [CALLED, name]))} {'refuses the turns' if refused else 'fails'}"
            raise InputError(f"{problem} ({reason[:500]})", "", "") from error
        return str(made[0][0])

    return fill


def stop_clock(day: date) -> None:
    """Have the clock of chat templates show the day's midnight from here on, in the process that fills them.

    transformers gives templates the function ``strftime_now`` and no way to say what it returns: of its keyword
    arguments it hands on plain data alone. The class that the function asks is replaced in transformers' module, which
    was tried with 5.23 (5.24 is above the bound in pyproject.toml); that it works is tried each time.
    """
    from transformers.utils import chat_template_utils

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(day.year, day.month, day.day, tzinfo=tz)

    chat_template_utils.datetime = Stopped  # type: ignore[attr-defined]  # a name it imports itself
    asked = f"{{{{ {CLOCK}('%Y-%m-%d %H:%M') }}}}"
    shown = chat_template_utils.render_jinja_template([[]], chat_template=asked)[0][0]
    if shown != f"{day} 00:00":
        raise RuntimeError("transformers' chat templates read another clock than the one that was stopped")
