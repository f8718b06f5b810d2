"""Chat templates of model folders: filled as transformers fills them, and stopped where they take too much."""

import resource
import time
from typing import Any

import pytest
from tiny_prompts import REFUSING, TEMPLATE, row, words

from reportgen.core.config import TasksSection
from reportgen.errors import InputError
from reportgen.scoring.data.chat_templates import Chat
from reportgen.scoring.data.prompts import prompted

pytestmark = pytest.mark.slow

NORMAL = (
    TEMPLATE,
    REFUSING,
    "{%- for m in messages -%}{%- if loop.index0 > 2 -%}{%- break -%}{%- endif -%}[{{ m['role'] | upper }}] "
    "{{ m['content'] | trim }}{{ eos_token }}{%- endfor -%}{{ messages | tojson }}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}\n{% generation %}{{ m.content }}"
    "{% endgeneration %}{{ ns.n }}{% endfor %}{{ tools is none }}{{ '<a & b>' | tojson }}{{ dict(a=1) }}",
)
TURNS = [("user", "a is <b> & \ud83d\udc4d ünïcode"), ("assistant", "red"), ("user", "b is"), ("user", "last")]


def largest() -> int:
    """The kilobytes that the largest process started here has taken."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@pytest.mark.parametrize("template", NORMAL)
def test_a_template_writes_what_transformers_writes(template: str) -> None:
    tokenizer = words("<s> $A", template)
    messages = [{"role": role, "content": text} for role, text in TURNS]
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert Chat(tokenizer, "[tasks] chat_template").written(TURNS) == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 1 / 0 }}", "fails (ZeroDivisionError: division by zero)"),
        ("{{ range(10**9) | list }}", "fails (OverflowError: Range too big"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "takes more than 10 s"),
        (
            "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
            "{{ ns.x }}",
            "takes more than 1 GiB of memory",
        ),
        ("{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}", "makes more than 64 MiB of text"),
        ("{{ ''.__class__.__mro__ }}", "refuses the turns (access to attribute '__class__' of 'str'"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "fails (RecursionError"),
        ("{% if %}", "refuses the turns (Expected an expression"),
    ],
)
def test_a_template_that_fails_or_never_ends_is_named_with_its_model(template: str, said: str) -> None:
    tokenizer: Any = words(template=template)
    tokenizer.name_or_path = "models/chatty"
    begun, peak = time.monotonic(), largest()
    with pytest.raises(InputError) as caught:
        prompted(tokenizer, [row("a is", "red")], TasksSection(chat_template=True), 0)
    assert caught.value.problem.startswith(f"the tokenizer's chat template (models/chatty) {said}")
    assert caught.value.location == "[tasks] chat_template, tasks.jsonl, line 1"
    assert time.monotonic() - begun < 60  # ten seconds, and as many as a laden machine takes to start a process
    assert largest() <= max(peak, 1.6 * 2**20)


def test_one_process_serves_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    started, popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **rest: started.append(args) or popen(*args, **rest))
    rows = [row(f"a{i} is", "red", id=str(i), group=str(i)) for i in range(200)]
    made = prompted(words("<s> $A", TEMPLATE), rows, TasksSection(chat_template=True, shots=2), 0)
    assert len(made) == 200
    assert len(started) == 1


def test_several_templates_without_a_default_are_refused() -> None:
    tokenizer: Any = words(template=TEMPLATE)
    tokenizer.chat_template = {"tool_use": TEMPLATE, "rag": TEMPLATE}
    with pytest.raises(InputError, match="cannot be told from others"):
        prompted(tokenizer, [row("a is", "red")], TasksSection(chat_template=True), 0)
