"""From a text to the ids of its first tokens; the rest of a long text is hardly looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from rugs_index.embedders.errors import EmbeddingError, MissingModelError
from rugs_index.embedders.text import encodable

_FIRST_CHARACTERS: Final = 8192
_GROWTH: Final = 8
_BORDERS: Final = ' \n\t\r,.;:"，。'
"""Words end at each of these characters, whatever stands around it."""


class FirstTokens:
    """Splits texts into tokens, at most so many of each.

    Args:
        path: of the `tokenizer.json` of a BERT model.
        most: tokens of a text, the two special ones included; the rest is left out.

    Raises:
        MissingModelError: if there is no such file.
        EmbeddingError: if it cannot be read.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._most = most
        try:
            self._tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingModelError(f"there is no tokenizer at {path}") from None
        except Exception as error:  # the library raises plain `Exception`
            raise EmbeddingError(f"{path} is no tokenizer: {error}; install the model again") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text's first tokens between the two special ones; of an empty text, these alone."""
        text = encodable(text)
        size = _FIRST_CHARACTERS
        while size < len(text):
            end = 1 + max(text.rfind(border, 0, size) for border in _BORDERS)
            ids = self._ids(text[:end])
            if len(ids) >= self._most:
                return ids
            size *= _GROWTH
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        # One by one, and not as a batch: the library's own threads would not keep to the number of threads asked for.
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids if len(ids) <= self._most else [*ids[: self._most - 1], ids[-1]]
