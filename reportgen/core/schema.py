"""From the JSON files that lie in a report to their data types, and back."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from reportgen.errors import InputError

T = TypeVar("T")


def plain_of(adapter: TypeAdapter[T], value: T) -> dict[str, object]:
    """Return a data type's value as plain JSON values, the schema first."""
    plain = adapter.dump_python(value, mode="json")
    return {"schema": plain.pop("schema"), **plain}


def read_plain(adapter: TypeAdapter[T], plain: object, location: str, again: str) -> T:
    """Return the value that a file's plain JSON values hold; ``again`` is the command that makes the file again.

    Raises InputError with the first field that does not fit.
    """
    try:
        return adapter.validate_python(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        hint = f"Make the file again with `reportgen {again}`"
        raise InputError(f"{where}: {first['msg']}", location, hint) from error
