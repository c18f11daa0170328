"""Dual-write in tests: what has to be in the files, and the process that writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgpack
from nats.aio.client import Client

from rugs_follow.continuity import Checkpoint
from rugs_legacy.dual_write.events import captured_in
from rugs_legacy.dual_write.folder import Folder
from rugs_legacy.dual_write.recorder import Recorder
from rugs_proto.message import Message
from rugs_proto.subjects import event_subject
from rugs_runtime.broker import Broker
from tests.support.derivekit import Frame
from tests.support.stackkit import Service, last_of, until

NEW_YORK: Final = ZoneInfo("America/New_York")


def messages(told: Iterable[Frame]) -> list[Message]:
    """Return frames as the stream has them, one in each message."""
    return [
        Message(seq, each["ts"], event_subject("ws_event", each["source"], each["event"]), {}, msgpack.packb(each))
        for seq, each in enumerate(told, 1)
    ]


def recorder_of(folder: Folder) -> Recorder:
    """Return a recorder that goes on where the folder's checkpoint says."""
    return Recorder(NEW_YORK, folder.is_taken, folder.read, folder.sessions)


def write(path: Path, stream: Iterable[Message], batch: int = 1 << 30) -> None:
    """Write a stream into a folder, in one process; where that was begun, go on."""
    folder = Folder(path)
    folder.open()
    recorder = recorder_of(folder)
    waiting = 0
    last = folder.checkpoint
    for message in stream:
        if message.seq <= folder.checkpoint.seq:
            continue
        for captured in captured_in(message, "public_ws"):
            recorder.take(captured.event)
        last, waiting = Checkpoint("life", message.seq, message.time_us), waiting + 1
        if waiting == batch:
            folder.commit(recorder.cut(), last)
            waiting = 0
    folder.commit(recorder.cut(), last)


def written(path: Path) -> dict[str, bytes]:
    """Return what readers of the old files see."""
    return {file.name: file.read_bytes() for file in sorted(path.glob("*.jsonl")) if not file.name.startswith(".")}


def expected(told: Iterable[Frame], path: Path) -> dict[str, bytes]:
    """Return what one process that nothing happened to writes of frames."""
    write(path, messages(told))
    return written(path)


class LegacyWriter(Service):
    """The legacy-writer."""

    name = "legacy-writer"
    module = "legacy_writer.main"

    def __init__(self, root: Path, broker: Broker, folder: Path, **settings: str) -> None:
        super().__init__(
            root, broker, REPLAYER_LEGACY_RECORDERS_ENABLED="true", RUGS_LEGACY_DIR=str(folder), **settings
        )
        self.folder = folder

    async def done(self, nc: Client) -> dict[str, Any]:
        """Return, with its status, when it has written all that the stream holds now."""
        upto = await last_of(nc, "rugs.events.ws_event.public_ws.>")
        answer: dict[str, Any] = {}

        async def is_done() -> bool:
            nonlocal answer
            answer = await self.status(nc)
            return bool(answer.get("last_seq", -1) >= upto)

        await until(is_done)
        return answer
