"""Reading rejects again with today's readers, and publishing what is understood now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import rugs_bus
import rugs_lake
from rugs_bus import BusError, PubAck, Publisher
from rugs_follow.commits import is_committed
from rugs_legacy.batches import Message, messages
from rugs_legacy.formats import FORMATS
from rugs_legacy.recording import Recording, read_again
from rugs_proto import wire
from rugs_proto.subjects import HEADER_RETRY, parse_event_subject

if TYPE_CHECKING:
    from nats.aio.client import Client

    from rugs_lake.read.rejects import Reject

PAGE_REJECTS: Final = 500
PAGE_BYTES: Final = 32 * 1024 * 1024
"""Bytes of rejects that are read at once; one larger is read alone."""
TAKEN_SECONDS: Final = 60.0
"""How long the broker may take for one of them."""


@dataclass
class Retried:
    """What became of rejects that were tried.

    `published`: understood, and the broker has them. `failed`: understood, but refused;
    `failures` has an id and a reason of each. `still_rejected`: all others.
    `without_bytes` of these miss bytes that a producer was to put into the object store:
    feeding the envelope again cannot bring them. `committed`: the lake has all that was published.
    """

    tried: int = 0
    published: int = 0
    failed: int = 0
    still_rejected: int = 0
    without_bytes: int = 0
    committed: bool = True
    failures: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as `rugs rejects retry --json` prints it."""
        return asdict(self)


class RetryMessage(NamedTuple):
    """What is to be published: the commit of it marks the reject as understood.

    `parked` is what has to be in the object store before: an event's id and bytes. `before` are
    messages that go out ahead of it: a document gives several.
    """

    subject: str
    body: bytes
    parked: tuple[str, bytes] | None = None
    before: tuple[Message, ...] = ()


async def retry(root: Path, rejects: Sequence[Reject], nc: Client | None) -> Retried:
    """Read rejects again and publish what is understood; return when the lake has it, or no writer takes it.

    Raises:
        BusError: if something is understood and there is no broker (`nc` None).
    """
    done = Retried(tried=len(rejects))
    publisher = rugs_bus.Publisher(nc) if nc is not None else None
    last = 0
    try:
        for page in _pages(rejects):
            taken = {}
            for reject, content in _with_contents(root, page):
                done.without_bytes += is_without_bytes(reject, content)
                message = understood(reject, content)
                if message is None:
                    done.still_rejected += 1
                elif nc is None or publisher is None:
                    raise BusError("no stack runs here: start it with `rugs up`")
                else:
                    taken[reject.id] = asyncio.create_task(_publish(nc, publisher, reject.id, message))
            for reject_id, task in taken.items():
                try:
                    last = max(last, (await task).seq)
                    done.published += 1
                except BusError as error:
                    done.failed += 1
                    done.failures.append({"id": reject_id, "reason": str(error)})
    finally:
        if publisher is not None:
            await publisher.close()
    if nc is not None and last:
        done.committed = await is_committed(nc, root, last)
    return done


async def _publish(nc: Client, publisher: Publisher, reject_id: str, message: RetryMessage) -> PubAck:
    """Publish what a reject gives now; return when the broker has it.

    Raises:
        BusError: if it does not take it, or not within `TAKEN_SECONDS`.
    """
    try:
        async with asyncio.timeout(TAKEN_SECONDS):
            for place, other in enumerate(message.before):
                if other.parked is not None:
                    await rugs_bus.put_blob(nc, *other.parked)
                await (await publisher.publish(other.subject, other.body, msg_id=f"retry-{reject_id}-{place}"))
            if message.parked is not None:
                await rugs_bus.put_blob(nc, *message.parked)
            marks = {HEADER_RETRY: reject_id}
            taken = await publisher.publish(message.subject, message.body, msg_id=f"retry-{reject_id}", headers=marks)
            return await taken
    except TimeoutError:
        raise BusError(f"the broker has not taken it: {publisher.trouble or 'no answer'}") from None


def _with_contents(root: Path, page: Sequence[Reject]) -> Iterator[tuple[Reject, bytes]]:
    with rugs_lake.open(root) as lake:
        rows = lake.sql(
            "SELECT id, coalesce(raw_bin, encode(raw)) FROM reject WHERE id IN (SELECT unnest(?))",
            [[reject.id for reject in page]],
        ).fetchall()
    found = {reject_id: bytes(raw or b"") for reject_id, raw in rows}
    yield from ((reject, found[reject.id]) for reject in page)


def _pages(rejects: Sequence[Reject]) -> Iterator[list[Reject]]:
    page: list[Reject] = []
    size = 0
    for reject in rejects:
        if page and (len(page) == PAGE_REJECTS or size + reject.bytes > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(reject)
        size += reject.bytes
    if page:
        yield page


def understood(reject: Reject, content: bytes) -> RetryMessage | None:
    """Return the message that a reject makes today, or None if it is still not understood.

    A message's bytes go to their old subject again. A file's line, or a file that is one JSON
    document, is read as one record; what was salvaged out of a line is in the lake already.
    """
    return _of_file(reject, content) if reject.file is not None else _message(reject, content)


def is_without_bytes(reject: Reject, content: bytes) -> bool:
    """Whether a reject is an envelope whose bytes were to lie in the object store, and did not."""
    if reject.file is not None:
        return False
    return any(event.envelope.blob is not None for event in wire.judge(content, None).events)


def _message(reject: Reject, content: bytes) -> RetryMessage | None:
    try:
        doc_type = parse_event_subject(reject.subject or "").doc_type
    except ValueError:
        return None
    judged = wire.judge(content, doc_type)
    if judged.faults or not judged.events or is_without_bytes(reject, content):
        return None
    return RetryMessage(str(reject.subject), content)


def _of_file(reject: Reject, content: bytes) -> RetryMessage | None:
    told = json.loads(reject.extra or "{}").get("format")
    if reject.line is None or reject.offset is None:
        return None
    for format_ in (each for each in FORMATS if each.id == told):
        known = (Path(str(reject.file)), 0, reject.sha256 or "", format_, reject.tz or "", reject.session_id)
        try:
            envelopes = read_again(Recording(*known), content, reject.line, reject.offset)
        except ValueError:  # a zone that there is not: anybody can publish a reject
            return None
        if envelopes:
            *before, last = messages(envelopes)
            return RetryMessage(last.subject, last.body, last.parked, tuple(before))
    return None
