"""Tensors of a safetensors file, mapped into memory: nothing is copied, and unused pages cost nothing."""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from rugs_core.reasons import refusal
from rugs_index.embedders.errors import EmbeddingError, MissingModelError

_SIZE_BYTES: Final = 8
_ITEM_BYTES: Final = 4


class _Place(NamedTuple):
    """Where a tensor is: bytes, counted from the end of the header."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Tensors:
    """The float32 tensors of a file, by name.

    Raises:
        MissingModelError: if there is no such file.
        EmbeddingError: if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                # Private to this process, and writable: OpenVINO shares no memory that is read-only. Nobody writes.
                self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            self._places, self._begin = _places(self._mapped)
        except FileNotFoundError:
            raise MissingModelError(f"there are no weights at {path}") from None
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            raise EmbeddingError(
                f"{path} is no intact safetensors file: {refusal(error)}; install the model again"
            ) from error

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a tensor.

        Raises:
            EmbeddingError: if there is none of that name, or it is none of float32.
        """
        place = self._places.get(name)
        if place is None or place.kind != "F32":
            found = "is not there" if place is None else f"has numbers of type {place.kind}"
            raise EmbeddingError(f"{self._path}: the tensor {name} {found}, and is needed with numbers of type F32")
        flat = np.frombuffer(self._mapped, "<f4", count=math.prod(place.shape), offset=self._begin + place.begin)
        return flat.reshape(place.shape)

    def forget_pages(self) -> None:
        """Give the memory of what was read back to the system; what is read again comes from the file."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)


def _places(mapped: mmap.mmap) -> tuple[dict[str, _Place], int]:
    """Return where each tensor is, and where the first one begins; raise some error if the file is damaged."""
    first = _SIZE_BYTES + int.from_bytes(mapped[:_SIZE_BYTES], "little")
    header = json.loads(mapped[_SIZE_BYTES:first])
    header.pop("__metadata__", None)
    places = {
        name: _Place(told["dtype"], tuple(map(int, told["shape"])), *map(int, told["data_offsets"]))
        for name, told in header.items()
    }
    for name, place in places.items():
        if not 0 <= place.begin <= place.end <= len(mapped) - first:
            raise ValueError(f"the tensor {name} is cut")
        if place.kind == "F32" and place.end - place.begin != _ITEM_BYTES * math.prod(place.shape):
            raise ValueError(f"the tensor {name} has another size than its shape says")
    return places, first
