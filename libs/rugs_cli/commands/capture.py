"""`rugs capture`: from a live feed to a valid dataset, in the foreground."""

from __future__ import annotations

import asyncio
import math
import time
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from rugs_cli.capturing import CAPTURE, COUNTS
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
from rugs_cli.output import AsJson, CommandError, counted, human_bytes, human_seconds, print_json
from rugs_cli.spools import spool_lines, spools_of

if TYPE_CHECKING:
    from nats.aio.client import Client

    from rugs_cli.capturing import CapturingGateway
    from rugs_runtime.settings import Settings
    from rugs_runtime.stopping import Stop

_LOOK: Final = 0.5

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
    lake holds everything; a second Ctrl-C does not wait for that. Closing the terminal ends it in order, too.
    """
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    options = {
        **{"path": path, "namespace": namespace, "query": query, "headers": header, "auth": auth},
        **{"transports": transports, "ca_file": ca_file, "proxy": proxy},
    }
    environment = _environment(source, url, options, settings)
    found = asyncio.run(_capture(settings, environment, seconds, quiet=as_json))
    found["spools"] = spools_of(settings)
    if as_json:
        print_json(found)
    else:
        lost = f", {found['refused']:,} lost" if found["refused"] else ""
        frames, gaps = counted(found["frames"], "frame"), counted(found["gaps"], "gap")
        print(f"{frames}, {human_bytes(found['bytes'])}, {gaps}{lost} in {human_seconds(found['seconds'])}")
        for line in spool_lines(found["spools"], running=False):
            print(line)
    if found["error"]:
        raise CommandError(found["error"])


def _environment(source: str, url: str | None, options: dict[str, Any], settings: Settings) -> dict[str, str]:
    """Return the settings of the capturing process."""
    if source == "public":
        return {"RUGS_SOURCES": source, "RUGS_FEEDS": "", **feed_environment(settings, {"url": url, **options})}
    if source != "cdp":
        raise typer.BadParameter(f"no such source: {source}; there are public and cdp", param_hint="--source")
    if any(value not in (None, []) for value in options.values()):
        raise typer.BadParameter("of a feed's options, --source cdp takes --url alone", param_hint="--source")
    return {"RUGS_SOURCES": source, "RUGS_FEED_URL": "", "RUGS_FEEDS": "", **chrome_environment(url)}


async def _capture(
    settings: Settings, environment: dict[str, str], seconds: float | None, *, quiet: bool
) -> dict[str, Any]:
    import rugs_bus
    from rugs_cli.around import broker_and_writer
    from rugs_cli.capturing import CapturingGateway
    from rugs_core.secrets import mask_secrets
    from rugs_runtime.stack import stack_stops
    from rugs_runtime.stopping import StoppedError, stop_on_signals

    stop = stop_on_signals(in_order=True)
    watching = _Watch(quiet=quiet)
    try:
        async with broker_and_writer(settings, stop) as around:
            nc = await rugs_bus.connect(around.url, name="rugs-capture")
            watching.say(f"broker at {mask_secrets(around.url)}, data in {settings.data_dir}")
            watching.found["nats_url"] = mask_secrets(around.url)
            try:
                # A stack that runs derives by itself.
                told = {"NATS_URL": around.url, **environment}
                with CapturingGateway(settings, told, derive=around.own) as gateway:
                    stack = None
                    if around.supervisor is not None:
                        stack = asyncio.create_task(stack_stops(settings.data_dir, around.supervisor))
                    await watching.until(nc, stop, gateway, seconds, stack)
                    await watching.end(gateway, stop)
                if around.own:
                    await _derived(settings, around.url, stop)
                    await stop.patiently(_committed(nc, settings))
            finally:
                await nc.close()
    except StoppedError:
        if stop.hurry.is_set():
            watching.say("ended without waiting: what was captured is safe, and `rugs up` takes the rest into the lake")
    return watching.found


class _Watch:
    """Looks at the capturing process, and shows it."""

    def __init__(self, *, quiet: bool) -> None:
        from rugs_cli.live_line import LiveLine

        counts = dict.fromkeys(COUNTS, 0)
        self.found: dict[str, Any] = {**counts, "seconds": 0.0, "error": None}
        self.trouble: str | None = None
        """What was last in the source's way."""
        self._quiet = quiet
        self._live = LiveLine()
        self._began = time.monotonic()
        self._before = (self._began, 0)
        self._told: str | None = ""

    async def until(
        self,
        nc: Client,
        stop: asyncio.Event,
        gateway: CapturingGateway,
        seconds: float | None,
        stack: asyncio.Task[None] | None,
    ) -> None:
        """Show how it goes until told to stop, the time is over, or the gateway cannot capture at all.

        A stack that stops meanwhile, which `stack` waits for, is no reason to stop capturing.
        """
        from rugs_core.patience import stopped_within
        from rugs_runtime.service import ask_status

        with self._live:
            end: float | None = None
            while gateway.error is None and (end is None or time.monotonic() < end):
                if why := gateway.ended_again():
                    self.say(f"the capturing process has ended ({why}) and is started again: a gap is recorded")
                if stack is not None and stack.done():
                    stack = None
                    self.say(
                        "the stack was stopped: what is captured waits in the spool until it runs again (`rugs up`)"
                    )
                answer = await ask_status(nc, CAPTURE)
                if answer is not None and answer["pid"] == gateway.pid:  # not one that another command runs
                    if end is None:  # only now does it capture
                        self._began = time.monotonic()
                        end = math.inf if seconds is None else self._began + seconds
                    source = answer["sources"][0]
                    gateway.note(answer["pid"], source)
                    self.take(source, gateway)
                    if not self._quiet and not self._live.show(self._line(source)):
                        self._tell(source)
                left = _LOOK if end is None else min(_LOOK, max(0.0, end - time.monotonic()))
                if await stopped_within(stop, left):
                    break

    async def end(self, gateway: CapturingGateway, stop: Stop) -> None:
        """Have the gateway end, and take what it reports."""
        self.found["error"] = gateway.error
        try:
            source = await gateway.stop(stop)
        except RuntimeError as error:
            self.found["error"] = str(error)
            return
        if source is not None:
            self.take(source, gateway)
        has_captured = self.found["frames"] and self.found["connections"]  # a refusal is a frame, too
        if not has_captured and self.found["error"] is None:
            self.found["error"] = self.trouble or "no frame came while it ran"

    def take(self, source: dict[str, Any], gateway: CapturingGateway) -> None:
        """Note what was in a source's way, and what it has brought."""
        self.trouble = source["error"] if source["state"] in ("connecting", "waiting") else self.trouble
        self.found |= {**gateway.counts(), "seconds": round(time.monotonic() - self._began, 1)}

    def say(self, text: str) -> None:
        """Say something that happened, above the line that shows how it goes."""
        if not self._quiet:
            self._live.say(text)

    def _tell(self, source: dict[str, Any]) -> None:
        """Say what has changed, where no terminal shows it."""
        error = (source["error"] if source["state"] != "live" else None) or source["warning"]
        if (source["state"] == "live" or error) and error != self._told:
            self._told = error
            self.say(f"{source['name']}: {error or source['state']}")

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


async def _derived(settings: Settings, url: str, stop: Stop) -> None:
    """Return when what follows from all that was captured is on the bus, or at once when that is urgent."""
    from rugs_cli.around import run_program

    await run_program(
        "capture_gateway.derive",
        ["--finish"],
        {"NATS_URL": url},
        stop=stop.hurry,
        hurry=stop.hurry,
        seconds=settings.stop_timeout,
        stderr=DEVNULL,
    )


async def _committed(nc: Client, settings: Settings) -> None:
    """Return when the lake holds all that the stream holds now.

    Raises:
        CommandError: if that takes too long.
    """
    import rugs_bus
    from rugs_follow.commits import is_committed

    upto = (await rugs_bus.stream_state(nc)).last_seq
    if not await is_committed(nc, settings.data_dir, upto):
        raise CommandError("the lake has not taken everything yet: the rest is kept, and `rugs up` takes it")
