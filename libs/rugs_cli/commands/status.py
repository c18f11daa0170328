"""`rugs status`: how the stack is doing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rugs_cli.capturing import CAPTURE
from rugs_cli.output import AsJson, CommandError, counted, human_bytes, human_seconds, print_json, print_table
from rugs_cli.spools import spool_lines, spools_of

if TYPE_CHECKING:
    from rugs_runtime.keeper import ProcessInfo
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import StackInfo

OneService = Annotated[
    str | None, typer.Option("--service", metavar="NAME", help="Look at one service only; for health checks.")
]


def status(service: OneService = None, as_json: AsJson = False) -> None:
    """Show the broker, the services, the stream, and how far the lake is behind it.

    The exit code is 0 when all is running, 1 when anything is not.
    """
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    found = asyncio.run(_gather(settings, service))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found["ok"]:
        raise typer.Exit(1)


async def _gather(settings: Settings, only: str | None) -> dict[str, Any]:
    from rugs_runtime.kept_broker import NAME
    from rugs_runtime.service import presence
    from rugs_runtime.stack import GATEWAY, WRITER, running_stack, services_of

    info = running_stack(settings.data_dir)
    url = info.nats_url if info is not None else settings.broker_url if settings.nats_url else None
    capture = presence(settings.data_dir, CAPTURE)
    by_itself = capture is not None and (info is None or all(each.name != GATEWAY.name for each in info.processes))
    names = [service.name for service in services_of(settings)]
    if info is not None and info.state != "starting":  # `rugs capture` and `rugs import` start a part of them
        names = [each.name for each in info.processes if each.name != NAME]
    elif by_itself:
        names = [WRITER.name]
    names += [CAPTURE] if capture is not None else []
    if only is not None and only not in names:
        raise CommandError(f"no service {only}; there are {', '.join(names)}")
    names = names if only is None else [only]
    stream, answers, bus_error = await _ask_bus(url, names)
    services = [_service(name, info, answers.get(name), capture if name == CAPTURE else None) for name in names]
    lake, lake_error = _lake(settings)
    if lake is not None and stream is not None and lake["incarnation"] == stream["incarnation"]:
        lake["lag"] = max(0, stream["last_seq"] - lake["last_seq"])
    broker = _broker(settings, url, info, bus_error)
    spools = spools_of(settings, answers.values())
    ok = broker["error"] is None and lake_error is None and all(service["state"] == "running" for service in services)
    return {
        "ok": ok,
        "data_dir": str(settings.data_dir),
        "stack": _stack(info, by_itself),
        "broker": broker,
        "services": services,
        "stream": stream,
        "lake": lake,
        "spools": spools,
        "http_url": _http_url(answers),
        "error": next(
            (error for error in (broker["error"], lake_error, *(s["error"] for s in services)) if error), None
        )
        or broker["last_error"],
    }


async def _ask_bus(
    url: str | None, names: list[str]
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]], str | None]:
    """Return the stream's state, the services' own answers by name, and why the bus cannot be asked."""
    import rugs_bus
    from rugs_runtime.service import ask_status

    if url is None:
        return None, {}, "nothing is running: start it with `rugs up`"
    try:
        nc = await rugs_bus.connect(url, name="rugs-status", timeout=2)
    except rugs_bus.BusError as error:
        return None, {}, str(error)
    try:
        answers = await asyncio.gather(*(ask_status(nc, name) for name in names))
        known = {name: answer for name, answer in zip(names, answers, strict=True) if answer is not None}
        try:
            return (await rugs_bus.stream_state(nc))._asdict(), known, None
        except rugs_bus.StreamAbsentError:
            return None, known, None
        except rugs_bus.BusError as error:
            return None, known, str(error)
    finally:
        await nc.close()


def _stack(info: StackInfo | None, by_itself: bool) -> dict[str, Any] | None:
    """Return who runs the broker and the services: `rugs up`, or `rugs capture` for as long as it captures."""
    if info is None:
        return None
    uptime = round(time.time() - info.started, 1)
    return {"kind": CAPTURE if by_itself else "stack", "pid": info.pid, "state": info.state, "uptime_seconds": uptime}


def _broker(settings: Settings, url: str | None, info: StackInfo | None, error: str | None) -> dict[str, Any]:
    from rugs_core.secrets import mask_secrets
    from rugs_runtime.kept_broker import NAME

    ours = next((process for process in info.processes if process.name == NAME), None) if info else None
    return {
        "url": mask_secrets(url) if url else None,
        "state": "stopped" if url is None else "unreachable" if error else "running",
        "embedded": ours is not None,
        "pid": ours.pid if ours else None,
        "uptime_seconds": _uptime(ours.started) if ours else None,
        "memory_bytes": _memory(ours.pid) if ours else None,
        "restarts": ours.restarts if ours else None,
        "error": (ours.error if ours and ours.state != "running" else None)
        or error
        or (_why_it_takes_nothing(settings, ours) if ours else None),
        "last_error": ours.error if ours else None,
    }


def _http_url(answers: dict[str, dict[str, Any]]) -> str | None:
    """Return where a service listens for HTTP."""
    sources = (source for answer in answers.values() for source in answer.get("sources", ()))
    return next((source["url"] for source in sources if source["name"] == "http"), None)


def _why_it_takes_nothing(settings: Settings, broker: ProcessInfo) -> str | None:
    """Return our broker's error; a full disk is looked at here, since nobody can write that it is full."""
    from rugs_runtime.store_watch import why_full

    try:
        return why_full(settings.state_dir / "broker") or broker.trouble
    except OSError as error:
        return str(error)


def _service(
    name: str, info: StackInfo | None, answer: dict[str, Any] | None, running: int | None = None
) -> dict[str, Any]:
    """Return how a service does; `running` is its pid where the stack does not keep it."""
    kept = next((process for process in info.processes if process.name == name), None) if info else None
    if answer is not None:
        state, pid, error = answer["state"], answer["pid"], answer["error"]
    else:
        pid = kept.pid if kept else running
        state = "not answering" if pid else (kept.state if kept else "stopped")
        error = kept.error if kept else None
    return {
        "name": name,
        "state": state,
        "pid": pid,
        "uptime_seconds": _uptime(kept.started) if kept else None,
        "memory_bytes": (answer or {}).get("memory_bytes") or _memory(pid if kept else None),
        "restarts": kept.restarts if kept else None,
        "error": error or (kept.error if kept else None),
    }


def _uptime(started: float | None) -> float | None:
    return None if started is None else round(time.time() - started, 1)


def _memory(pid: int | None) -> int | None:
    """Return a process's resident memory in bytes."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else None
    except psutil.Error:
        return None


def _lake(settings: Settings) -> tuple[dict[str, Any] | None, str | None]:
    """Return how far the lake has come, None before there is one; and why it cannot be read."""
    from rugs_lake import LakeAbsentError, LakeError
    from rugs_lake.read import stats
    from rugs_proto.subjects import EVENTS_STREAM

    try:
        cursor = next((each for each in stats.cursors(settings.data_dir) if each.stream == EVENTS_STREAM), None)
    except LakeAbsentError:
        return None, None
    except LakeError as error:
        return None, str(error)
    if cursor is None:
        return None, None
    told = {"incarnation": cursor.incarnation, "last_seq": cursor.last_seq, "epoch": cursor.epoch, "lag": None}
    return told, None


def _show(found: dict[str, Any]) -> None:
    stack, broker, stream, lake = found["stack"], found["broker"], found["stream"], found["lake"]
    about = f"pid {stack['pid']}, up {human_seconds(stack['uptime_seconds'])}" if stack else "no stack runs here"
    if stack and stack["kind"] == CAPTURE:
        rows = [("stack", "stopped", f"`rugs capture` runs by itself, {about}, data in {found['data_dir']}")]
    else:
        rows = [("stack", stack["state"] if stack else "stopped", f"{about}, data in {found['data_dir']}")]
    rows.append(("broker", broker["state"], ", ".join([broker["url"] or "", *_process(broker)])))
    rows += [(service["name"], service["state"], ", ".join(_process(service))) for service in found["services"]]
    if stream:
        limit = f" of {human_bytes(stream['max_bytes'])}" if stream["max_bytes"] > 0 else ""
        size = f"{counted(stream['messages'], 'message')}, {human_bytes(stream['bytes'])}{limit}"
        rows.append(("stream", "", f"{size}, sequences {stream['first_seq']:,} to {stream['last_seq']:,}"))
    if found["http_url"]:
        rows.append(("http", "", found["http_url"]))
    if lake:
        behind = "lag unknown" if lake["lag"] is None else f"{counted(lake['lag'], 'message')} behind"
        rows.append(("lake", "", f"taken up to {lake['last_seq']:,}, {behind}"))
    print_table(rows)
    for line in spool_lines(found["spools"], running=stack is not None):
        print(line)
    if found["error"]:
        print(f"last error: {found['error']}")


def _process(process: dict[str, Any]) -> list[str]:
    parts = []
    if process["pid"]:
        parts.append(f"pid {process['pid']}")
    if process["uptime_seconds"] is not None:
        parts.append(f"up {human_seconds(process['uptime_seconds'])}")
    if process["memory_bytes"]:
        parts.append(human_bytes(process["memory_bytes"]))
    if process["restarts"]:
        parts.append(f"restarts: {process['restarts']}")
    return parts
