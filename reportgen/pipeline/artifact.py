"""What a stage leaves in a run directory, and how it is found again."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Artifact(ABC, Generic[Result]):
    """One stage's result in a run directory: made once for a key, and read again for as long as the key is the same.

    The key is made of all that the result depends on, so that nothing stale is ever taken for fresh.
    """

    @abstractmethod
    def key(self) -> str:
        """Return what makes the result the same."""

    @abstractmethod
    def load(self, key: str) -> Result | None:
        """Read the result back; None where it is missing, damaged or of another key: then it is made again."""

    @abstractmethod
    def make(self) -> Result:
        """Do the stage's work."""

    @abstractmethod
    def write(self, result: Result, key: str) -> Result:
        """Write the stage's own files, whole or not at all; return the result as it is read back."""

    def obtain(self) -> Result:
        """Return the result from the directory, or make and write it."""
        key = self.key()
        found = self.load(key)
        return self.write(self.make(), key) if found is None else found
