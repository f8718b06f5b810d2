"""Write the pages of docs/reference that come from the program itself: ``python tools/write_reference.py``.

Commands, methods, kinds of findings and study.toml are what the commands print; the API's page lists the public names,
whose docstrings the site takes in when it is built. A test fails where a page is not what this would write.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import reportgen
from reportgen.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
FOLDER, ARCHITECTURE = ROOT / "docs" / "reference", ROOT / "docs" / "architecture.md"
BUILD = ROOT / "reportgen" / "pipeline" / "build.py"
WIDTH = 80  # letters of a line of a command's help
NOTE = "<!-- written by tools/write_reference.py -->"


def printed(*arguments: str) -> str:
    """Return what a command prints."""
    run = CliRunner().invoke(app, arguments, env={"COLUMNS": str(WIDTH)})
    if run.exit_code:
        raise RuntimeError(f"reportgen {' '.join(arguments)}: exit code {run.exit_code}\n{run.output}")
    return run.output.replace("Usage: root", "Usage: reportgen")


def page(title: str, about: str, parts: Iterator[str]) -> str:
    """Return a page from its title, what it is about, and its parts."""
    return "\n\n".join([f"# {title}", NOTE, about, *parts]) + "\n"


def markdown(docstring: str) -> str:
    """Return a docstring as Markdown: single backticks, as the pages have them."""
    return docstring.strip().replace("``", "`")


def commands() -> list[str]:
    """Return the names of the commands, in the order of ``reportgen --help``."""
    return [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]


def command_parts() -> Iterator[str]:
    """Yield the help of each command."""
    for name in commands():
        yield f"## {name}\n\n```text\n{printed(name, '--help').strip()}\n```"


def method_parts() -> Iterator[str]:
    """Yield the record of each scoring method."""
    for name, record in json.loads(printed("methods", "--json")).items():
        rows = {
            "Formula": f"`{record['formula']}`",
            "Unit": record["unit"],
            "Sign": record["sign"],
            "Importance": record["importance"],
            "Cost": record["cost"],
            "Models": ", ".join(record["models"]),
            "Parameters": parameters(record["parameters"]),
        }
        facts = "\n".join(f"- **{key}**: {value}" for key, value in rows.items() if value)
        sources = "\n".join(f"- {source}" for source in record["references"])
        yield f"## {name}\n\n{sentence(record['summary'])} {record['meaning']}\n\n{facts}\n\nSources:\n\n{sources}"


def suite_parts() -> Iterator[str]:
    """Yield the page of each suite, with the first row of each of its tasks."""
    for name in json.loads(printed("tasks", "--json")):
        record = json.loads(printed("tasks", "show", name, "--json"))
        facts = [f"**{key.capitalize()}.** {record[key]}" for key in ("source", "known results", "pitfalls")]
        if record["lengths"]:
            facts.append(
                f"**Lengths.** {' and '.join(map(str, record['lengths']))} tokens; `[tasks] lengths` gives others."
            )
        rows = [
            f"**{task}**, {about['rows']} rows of {about['groups']} groups:\n\n```json\n"
            f"{json.dumps(about['first'], ensure_ascii=False, indent=1)}\n```"
            for task, about in record["tasks"].items()
        ]
        yield "\n\n".join([f"## {name}", f"{sentence(record['summary'])} {record['measures']}", *facts, *rows])


def parameters(known: dict[str, Any]) -> str:
    """Return the parameters of a method with their defaults, in a line."""
    return ", ".join(f"`{name} = {json.dumps(value, ensure_ascii=False)}`" for name, value in known.items())


def sentence(text: str) -> str:
    """Return a summary as a sentence."""
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def kind_parts() -> Iterator[str]:
    """Yield what each kind of finding is, its null and when it is silent."""
    for kind, about in json.loads(printed("detectors", "--json")).items():
        yield f"## {kind}\n\n{markdown(about)}"


def topic_parts() -> Iterator[str]:
    """Yield what each topic of claims is."""
    for topic, about in json.loads(printed("topics", "--json")).items():
        yield f"## {topic}\n\n{sentence(about)}"


def study_parts() -> Iterator[str]:
    """Yield the sections of study.toml with their keys."""
    schema = json.loads(printed("schema", "study"))
    for section, field in schema["properties"].items():
        named = re.findall(r"#/\$defs/(\w+)", json.dumps(field))
        described = schema["$defs"][named[0]]
        rows = [
            f"| `{key}` | {cell(type_of(value))} | {cell(default_of(key, value, described.get('required', [])))} |"
            for key, value in described["properties"].items()
        ]
        table = "\n".join(["| key | type | default |", "|---|---|---|", *rows])
        yield f"## [{section}]\n\n{markdown(described.get('description', ''))}\n\n{table}"


def cell(text: str) -> str:
    """Return a text as it may stand in a table."""
    return text.replace("|", r"\|")


def type_of(field: dict[str, Any]) -> str:
    """Return a field's type in words, from its JSON Schema."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(type_of(f) for f in field["anyOf"] if f.get("type") != "null"))
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "prefixItems" in field:
        return f"[{', '.join(type_of(f) for f in field['prefixItems'])}]"
    if field.get("type") == "array":
        return f"list of {type_of(field.get('items', {}))}"
    if field.get("type") == "object":
        return "table"
    limits = [f"{sign} {field[key]}" for key, sign in LIMITS.items() if key in field]
    return " ".join([WORDS.get(field.get("type", ""), "anything"), *limits])


WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def default_of(key: str, field: dict[str, Any], required: list[str]) -> str:
    """Return a field's default as TOML, "" where leaving it out says nothing."""
    if key in required:
        return "*must be given*"
    default = field.get("default")
    return "" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"


def api_parts() -> Iterator[str]:
    """Yield the directive for each public name."""
    for name in sorted(reportgen.__all__, key=lambda name: (name[0].isupper(), name)):
        yield f"::: reportgen.{name}"


def pages() -> dict[str, str]:
    """Return the pages by file name."""
    made = {
        "commands.md": page("Commands", "What `reportgen COMMAND --help` prints.", command_parts()),
        "methods.md": page("Scoring methods", "What `reportgen methods NAME` prints, of every method.", method_parts()),
        "suites.md": page("Suites of tasks", "What `reportgen tasks show NAME` prints, of every suite.", suite_parts()),
        "findings.md": page("Kinds of findings", "What `reportgen detectors` looks for, in its order.", kind_parts()),
        "study.md": page("study.toml", "Every section and key, from `reportgen schema study`.", study_parts()),
        "api.md": page("Python", "The public names, from their docstrings.", api_parts()),
    }
    if "topics" in commands():
        made["topics.md"] = page("Topics of claims", "What `reportgen topics` lists.", topic_parts())
    return made


def with_build(text: str) -> str:
    """Return the page on the architecture with the code of ``build`` as it is now, its docstring left out."""
    source = BUILD.read_text(encoding="utf-8")
    lines = source.splitlines()
    tree = ast.parse(source)
    (build,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "build")
    code = [*lines[build.lineno - 1 : build.body[0].lineno - 1], *lines[build.body[0].end_lineno : build.end_lineno]]
    before, _, rest = text.partition("<!-- build:")
    mark, _, rest = rest.partition("\n")
    after = rest.partition("<!-- end of build -->")[2]
    return f"{before}<!-- build:{mark}\n```python\n" + "\n".join(code) + f"\n```\n<!-- end of build -->{after}"


def written() -> dict[Path, str]:
    """Return what every file that is written should hold."""
    made = {FOLDER / name: text for name, text in pages().items()}
    return {**made, ARCHITECTURE: with_build(ARCHITECTURE.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
