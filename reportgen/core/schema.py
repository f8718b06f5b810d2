"""From the JSON files that lie in a report to their data types, and back."""

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from reportgen.errors import InputError

T = TypeVar("T")


def plain_of(adapter: TypeAdapter[T], value: T) -> dict[str, Any]:
    """A data type's value as plain JSON values, the schema first."""
    plain = adapter.dump_python(value, mode="json")
    return {"schema": plain.pop("schema"), **plain}


def read_plain(adapter: TypeAdapter[T], plain: object, place: str, again: str) -> T:
    """The value that a file's plain JSON values hold; ``again`` is the command that makes the file again.

    Raises InputError with the first field that does not fit.
    """
    try:
        return adapter.validate_python(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {first['msg']}", place, f"Make the file again with `reportgen {again}`") from error
