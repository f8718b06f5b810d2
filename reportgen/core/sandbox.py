"""The one environment that templates are filled in: they see the values passed to them and can do nothing else.

A template reaches no attribute that begins with an underscore and changes no value passed to it. One that is not ours
calls nothing but macros and the methods of texts, numbers and containers: an array writes files by a method of its own.
What a sandbox does not limit, time and memory, ``confined`` does.
"""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, runtime
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from reportgen.core.user_cache import CompiledTemplates
from reportgen.errors import InputError

PLAIN: tuple[type, ...] = (
    str,
    bytes,
    Markup,
    bool,
    int,
    float,
    list,
    tuple,
    dict,
    set,
    frozenset,
    type({}.items()),
    type({}.keys()),
)
JINJA = (runtime.Macro, runtime.LoopContext, runtime.BlockReference)


Sandbox = ImmutableSandboxedEnvironment


def open_to_templates(function: Any) -> Any:
    """Let templates that are not ours call this function too; it must do nothing but compute."""
    function.open_to_templates = True
    return function


class Strict(Sandbox):
    """A sandbox in which nothing is called but what is known to be harmless."""

    def is_safe_callable(self, obj: object) -> bool:
        """Return whether a template may call this."""
        owner = getattr(obj, "__self__", None)
        known = isinstance(obj, JINJA) or getattr(obj, "open_to_templates", False) is True
        ours = any(obj is each for each in self.globals.values())
        return bool(known or ours or type(owner) in PLAIN or isinstance(owner, runtime.LoopContext))


def environment(
    folders: Sequence[Path], filters: Mapping[str, Any], *, kind: str, overridden: bool = False, autoescape: bool = True
) -> Sandbox:
    """Return a sandbox with strict names over the folders, the first that holds a template winning.

    ``kind`` names its templates in the cache of compiled ones. Where some are ``overridden``, by templates that are not
    ours, none is taken from that cache or put there, and none may call what it likes.
    """
    cache: BytecodeCache | None = None if overridden else CompiledTemplates(kind)
    made = (Strict if overridden else Sandbox)(
        loader=FileSystemLoader(folders),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=cache,
    )
    made.filters |= filters
    return made


def filled(env: Sandbox, name: str, values: Mapping[str, object]) -> str:
    """Fill a template with its values; raises InputError with file, line and name where that fails."""
    try:
        return env.get_template(name).render(values)
    except TemplateError as error:
        raise broken(error, name) from error


def broken(error: Exception, name: str) -> InputError:
    """Return the error for a template that cannot be filled: the file, the line and the name at fault."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(".j2")]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (name, None)
    if isinstance(error, TemplateSyntaxError):
        file, line = error.filename or error.name or name, error.lineno
    message = (error.message if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}") or str(error)
    location = f"{file}, line {line}" if line else file
    return InputError(f"the template fails ({message[:500]})", location, "Mend the template")
