"""For the tests of a program that publishes: a publisher that needs neither broker nor disk."""

from __future__ import annotations

import os

from rugs_client.events import Entry
from rugs_client.link import Link
from rugs_client.publisher import Publisher
from rugs_client.spool import Spool
from rugs_proto.codec import decode
from rugs_proto.envelope import Envelope


class MemoryPublisher(Publisher):
    """A `Publisher` that keeps in memory what the real one sends to the broker.

    Everything before the broker is the real one's: checks, envelopes, numbers, rejects, gaps, bounds. It takes the
    same arguments, so that it can stand in for the class; `url` and `spool_dir` are not used. A session that is told
    begins at 1 in each object: nothing outlives it.
    """

    def __init__(
        self,
        url: str = "",
        *,
        source: str,
        spool_dir: str | os.PathLike[str] = "",
        session_id: str | None = None,
        name: str = "rugs-client",
        queue_events: int = 20_000,
        queue_bytes: int = 64 * 1024 * 1024,
        spool_bytes: int = 1024 * 1024 * 1024,
        close_timeout: float = 2.0,
    ) -> None:
        self._memory = _Memory()
        super().__init__(
            url,
            source=source,
            spool_dir=spool_dir,
            session_id=session_id,
            name=name,
            queue_events=queue_events,
            queue_bytes=queue_bytes,
            spool_bytes=spool_bytes,
            close_timeout=close_timeout,
        )

    @property
    def events(self) -> list[Envelope]:
        """Everything that was published before, in order, gaps and rejects among it."""
        self.flush(10)
        return [decode(entry.body)[0] for entry in self._memory.entries]

    @property
    def large_objects(self) -> dict[str, bytes]:
        """The frames that are too large for a message, by the id of their event, whose `blob` is their SHA-256."""
        self.flush(10)
        return {entry.id: entry.large for entry in self._memory.entries if entry.large is not None}

    def _outlet(
        self, url: str, name: str, spool_dir: str | os.PathLike[str], spool_bytes: int
    ) -> tuple[Link, Spool | None, bool]:
        return self._memory, None, True


class _Memory:
    """A link that takes everything at once."""

    connected = True
    trouble: str | None = None

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def open(self) -> None:
        pass

    async def send(self, entries: list[Entry]) -> None:
        self.entries += entries

    async def close(self) -> None:
        pass
