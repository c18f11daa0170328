"""`rugs capture`: from a live feed to a valid dataset, in the foreground."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rugs_cli.commands.sources import game_text, trouble, waiting
from rugs_cli.feed_options import (
    Auth,
    CaFile,
    EnginePath,
    Header,
    Namespace,
    Proxy,
    Query,
    Transports,
    Url,
    chrome_environment,
    feed_environment,
)
from rugs_cli.output import AsJson, CommandError, human_bytes, human_seconds, print_json

if TYPE_CHECKING:
    from nats.aio.client import Client
    from rich.console import Console

    from rugs_runtime.settings import Settings

NAME: Final = "capture"
_LOOK: Final = 0.5
_COMMIT_SECONDS: Final = 60.0

SourceName = Annotated[
    str, typer.Option("--source", help="What to capture from: public (a Socket.IO feed) or cdp (a Chrome).")
]
For = Annotated[float | None, typer.Option("--seconds", min=0.1, help="End after so many seconds; else at Ctrl-C.")]


def capture(
    source: SourceName = "public",
    url: Url = None,
    path: EnginePath = None,
    namespace: Namespace = None,
    query: Query = None,
    header: Header = None,
    auth: Auth = None,
    transports: Transports = None,
    ca_file: CaFile = None,
    proxy: Proxy = None,
    seconds: For = None,
    as_json: AsJson = False,
) -> None:
    """Capture a live feed until Ctrl-C, with a line that shows how it goes.

    Where no stack runs, a broker and a writer are started for as long as it takes. It returns when the
    lake holds everything.
    """
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    options = {
        **{"path": path, "namespace": namespace, "query": query, "headers": header, "auth": auth},
        **{"transports": transports, "ca_file": ca_file, "proxy": proxy},
    }
    environment = _environment(source, url, options, settings)
    found = asyncio.run(_capture(settings, environment, seconds, quiet=as_json))
    if as_json:
        print_json(found)
    else:
        lost = f", {found['refused']:,} lost" if found["refused"] else ""
        print(
            f"{found['frames']:,} frames, {human_bytes(found['bytes'])}, {found['gaps']} gaps{lost}"
            f" in {human_seconds(found['seconds'])}"
        )
    if found["error"]:
        raise CommandError(found["error"])


def _environment(source: str, url: str | None, options: dict[str, Any], settings: Settings) -> dict[str, str]:
    """Return the settings of the capturing process."""
    if source == "public":
        return {"RUGS_SOURCES": source, **feed_environment(settings, {"url": url, **options})}
    if source != "cdp":
        raise typer.BadParameter(f"no such source: {source}; there are public and cdp", param_hint="--source")
    if any(value not in (None, []) for value in options.values()):
        raise typer.BadParameter("of a feed's options, --source cdp takes --url alone", param_hint="--source")
    return {"RUGS_SOURCES": source, "RUGS_FEED_URL": "", **chrome_environment(url)}


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
        arguments = ["--name", NAME, "--report", *([] if around.own else ["--no-derivation"])]
        log = log_file(settings, NAME)
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
        self._connected = False
        """Whether the source ever was live: a refusal is a frame, too."""
        self._nc = nc
        self._quiet = quiet
        self._began = time.monotonic()
        self._before = (self._began, 0)
        self._told: str | None = ""

    async def until(self, stop: asyncio.Event, process: asyncio.subprocess.Process, seconds: float | None) -> None:
        """Show how it goes until told to stop, the time is over, or the process has ended."""
        from rich.console import Console

        from rugs_bus.patience import stopped_within
        from rugs_runtime.service import ask_status

        console = Console(stderr=True)
        showing = console.is_terminal and not self._quiet
        end: float | None = None
        while process.returncode is None and (end is None or time.monotonic() < end):
            answer = await ask_status(self._nc, NAME)
            if answer is not None and answer["pid"] == process.pid:  # not one that another command runs
                if end is None:  # only now does it capture
                    self._began = time.monotonic()
                    end = math.inf if seconds is None else self._began + seconds
                self.take(answer["sources"][0])
                if showing:
                    self._show(console, answer["sources"][0])
                elif not self._quiet:
                    self._tell(answer["sources"][0])
            left = _LOOK if end is None else min(_LOOK, max(0.0, end - time.monotonic()))
            if await stopped_within(stop, left):
                break
        if showing:
            console.print()

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
            if not (self.found["frames"] and self._connected):
                self.found["error"] = self.trouble or "no frame came while it ran"
        return code

    def take(self, source: dict[str, Any]) -> None:
        """Note what a source has brought, and what was in its way."""
        self.trouble = source["error"] if source["state"] in ("connecting", "waiting") else self.trouble
        self._connected = source["connections"] > 0
        self.found |= {
            "frames": source["frames"],
            "bytes": source["bytes"],
            "gaps": source["gaps"],
            "refused": source["bus"]["refused"] + source["bus"]["dropped"],
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def _tell(self, source: dict[str, Any]) -> None:
        """Say what has changed, where no terminal shows it."""
        error = (source["error"] if source["state"] != "live" else None) or source["warning"]
        if (source["state"] == "live" or error) and error != self._told:
            self._told = error
            print(f"{source['name']}: {error or source['state']}", file=sys.stderr, flush=True)

    def _show(self, console: Console, source: dict[str, Any]) -> None:
        now, frames = time.monotonic(), source["frames"]
        before, frames_before = self._before
        rate = (frames - frames_before) / max(now - before, 1e-3)
        self._before = (now, frames)
        parts = [
            source["state"],
            f"{frames:,} frames",
            f"{rate:,.0f}/s",
            "" if (delay := source["bus"]["delay_ms"]) is None else f"lag {delay:,.0f} ms",
            f"{waiting(source):,} waiting",
            game_text(source),
            trouble(source) or "",
        ]
        line = "  ".join(filter(None, parts))
        console.control()
        console.print(f"\r\x1b[2K{line[: console.width - 1]}", end="", markup=False, highlight=False, soft_wrap=True)


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
