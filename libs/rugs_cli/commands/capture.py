"""`rugs capture`: from a live feed to a valid dataset, in the foreground."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rugs_cli.commands.sources import CAPTURE, game_text, trouble, waiting
from rugs_cli.output import AsJson, CommandError, counted, human_bytes, human_seconds, print_json

if TYPE_CHECKING:
    from nats.aio.client import Client

    from rugs_cli.live_line import LiveLine
    from rugs_runtime.settings import Settings

_LOOK: Final = 0.5
_COMMIT_SECONDS: Final = 60.0

SourceName = Annotated[
    str, typer.Option("--source", help="What to capture from: public (a Socket.IO feed) or cdp (a Chrome).")
]
Url = Annotated[
    str | None,
    typer.Option("--url", help="The feed's address; for cdp, where Chrome listens: http://127.0.0.1:9222."),
]
For = Annotated[float | None, typer.Option("--seconds", min=0.1, help="End after so many seconds; else at Ctrl-C.")]


def capture(source: SourceName = "public", url: Url = None, seconds: For = None, as_json: AsJson = False) -> None:
    """Capture a live feed until Ctrl-C, with a line that shows how it goes.

    Where no stack runs, a broker and a writer are started for as long as it takes. It returns when the
    lake holds everything.
    """
    from rugs_runtime.settings import Settings

    environment = _environment(source, url, Settings.load())
    found = asyncio.run(_capture(Settings.load(), environment, seconds, quiet=as_json))
    if as_json:
        print_json(found)
    else:
        lost = f", {found['refused']:,} lost" if found["refused"] else ""
        frames, gaps = counted(found["frames"], "frame"), counted(found["gaps"], "gap")
        print(f"{frames}, {human_bytes(found['bytes'])}, {gaps}{lost} in {human_seconds(found['seconds'])}")
    if found["error"]:
        raise CommandError(found["error"])


def _environment(source: str, url: str | None, settings: Settings) -> dict[str, str]:
    """Return the settings of the capturing process."""
    from urllib.parse import urlsplit

    if source not in ("public", "cdp"):
        raise typer.BadParameter(f"no such source: {source}; there are public and cdp", param_hint="--source")
    environment = {"RUGS_SOURCES": source, "RUGS_FEED_URL": ""}
    parts = urlsplit(url or "")
    if source == "public":
        if url is None and settings.feed_url is None:
            raise typer.BadParameter("name the feed: https://HOST", param_hint="--url")
        if url is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise typer.BadParameter("not the address of a feed: write https://HOST", param_hint="--url")
        return environment | {"RUGS_FEED_URL": url or settings.feed_url or ""}
    if url is not None:
        if parts.scheme != "http" or not parts.hostname:
            raise typer.BadParameter("where Chrome listens: http://HOST:PORT", param_hint="--url")
        environment |= {"RUGS_CDP_HOST": parts.hostname, "RUGS_CDP_PORT": str(parts.port or 9222)}
    return environment


async def _capture(
    settings: Settings, environment: dict[str, str], seconds: float | None, *, quiet: bool
) -> dict[str, Any]:
    import rugs_bus
    from rugs_cli.around import broker_and_writer, program
    from rugs_runtime.service import stop_on_signals
    from rugs_runtime.stack import log_file

    stop = stop_on_signals()
    async with broker_and_writer(settings) as around:
        # A stack that runs derives by itself.
        arguments = ["--name", CAPTURE, "--report", *([] if around.own else ["--no-derivation"])]
        log = log_file(settings, CAPTURE)
        log.parent.mkdir(parents=True, exist_ok=True)
        nc = await rugs_bus.connect(around.url, name="rugs-capture")
        try:
            with log.open("ab") as output:
                told = {"NATS_URL": around.url, **environment}
                start = output.tell()
                async with program(
                    "capture_gateway.main", arguments, told, stdout=PIPE, stderr=output, start_new_session=True
                ) as process:
                    watching = _Watch(nc, quiet=quiet)
                    await watching.until(stop, process, seconds)
                    code = await watching.end(process)
            if around.own:
                await _derived(around.url)
                await _committed(nc, settings)
        finally:
            await nc.close()
    if code:
        from rugs_runtime.programs import last_error

        watching.found["error"] = last_error(log, start) or f"the capture ended by itself: see {log}"
    return watching.found


class _Watch:
    """Looks at the capturing process, and shows it."""

    def __init__(self, nc: Client, *, quiet: bool) -> None:
        self.found: dict[str, Any] = {"frames": 0, "bytes": 0, "gaps": 0, "refused": 0, "seconds": 0.0, "error": None}
        self.trouble: str | None = None
        """What was last in the source's way."""
        self._nc = nc
        self._quiet = quiet
        self._began = time.monotonic()
        self._before = (self._began, 0)
        self._told: str | None = ""

    async def until(self, stop: asyncio.Event, process: asyncio.subprocess.Process, seconds: float | None) -> None:
        """Show how it goes until told to stop, the time is over, or the process has ended."""
        from rugs_cli.live_line import LiveLine

        with LiveLine() as line:
            await self._watch(stop, process, seconds, line)

    async def _watch(
        self, stop: asyncio.Event, process: asyncio.subprocess.Process, seconds: float | None, line: LiveLine
    ) -> None:
        from rugs_bus.patience import stopped_within
        from rugs_runtime.service import ask_status

        end: float | None = None
        while process.returncode is None and (end is None or time.monotonic() < end):
            answer = await ask_status(self._nc, CAPTURE)
            if answer is not None and answer["pid"] == process.pid:  # not one that another command runs
                if end is None:  # only now does it capture
                    self._began = time.monotonic()
                    end = math.inf if seconds is None else self._began + seconds
                self.take(answer["sources"][0])
                if not self._quiet and not line.show(self._line(answer["sources"][0])):
                    self._tell(answer["sources"][0], line)
            left = _LOOK if end is None else min(_LOOK, max(0.0, end - time.monotonic()))
            if await stopped_within(stop, left):
                break

    async def end(self, process: asyncio.subprocess.Process) -> int:
        """Have the process end, and take what it reports; return its exit code."""
        asked = process.returncode is None
        if asked:
            process.terminate()
        reported, _ = await process.communicate()
        code = process.returncode or 0
        if asked and code == -signal.SIGTERM:  # it had not even begun
            return 0
        if code == 0:
            self.take(json.loads(reported)["sources"][0])
            if not self.found["frames"]:
                self.found["error"] = self.trouble
        return code

    def take(self, source: dict[str, Any]) -> None:
        """Note what a source has brought, and what was in its way."""
        self.trouble = source["error"] if source["state"] in ("connecting", "waiting") else self.trouble
        self.found |= {
            "frames": source["frames"],
            "bytes": source["bytes"],
            "gaps": source["gaps"],
            "refused": source["bus"]["refused"] + source["bus"]["dropped"],
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def _tell(self, source: dict[str, Any], line: LiveLine) -> None:
        """Say what has changed, where no terminal shows it."""
        error = source["error"] if source["state"] != "live" else None
        if (source["state"] == "live" or error) and error != self._told:
            self._told = error
            line.say(f"{source['name']}: {error or source['state']}")

    def _line(self, source: dict[str, Any]) -> str:
        """Return what a terminal shows of a source, the most important first."""
        now, frames = time.monotonic(), source["frames"]
        before, frames_before = self._before
        rate = (frames - frames_before) / max(now - before, 1e-3)
        self._before = (now, frames)
        parts = [
            source["state"],
            trouble(source) or "",
            counted(frames, "frame"),
            f"{rate:,.0f}/s",
            game_text(source),
            "" if (delay := source["bus"]["delay_ms"]) is None else f"lag {delay:,.0f} ms",
            f"{waiting(source):,} waiting",
        ]
        return "  ".join(filter(None, parts))


async def _derived(url: str) -> None:
    """Return when what follows from all that was captured is on the bus."""
    from rugs_cli.around import program

    async with program("capture_gateway.derive", ["--finish"], {"NATS_URL": url}, stderr=DEVNULL) as process:
        await process.wait()


async def _committed(nc: Client, settings: Settings) -> None:
    """Return when the lake holds all that the stream holds now.

    Raises:
        CommandError: if that takes too long.
    """
    import rugs_bus
    from rugs_lake import LakeError, stats
    from rugs_proto.subjects import EVENTS_STREAM

    upto = (await rugs_bus.stream_state(nc)).last_seq
    deadline = time.monotonic() + _COMMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            taken = max(each.last_seq for each in stats.cursors(settings.data_dir) if each.stream == EVENTS_STREAM)
        except (LakeError, ValueError):
            taken = 0
        if taken >= upto:
            return
        await asyncio.sleep(0.05)
    raise CommandError("the lake has not taken everything yet: the rest is kept, and `rugs up` takes it")
