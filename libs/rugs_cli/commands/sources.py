"""`rugs sources`: where events come from, and how each is doing."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Final

import typer

from rugs_cli.capturing import CAPTURE
from rugs_cli.output import (
    AsJson,
    CommandError,
    counted,
    human_bytes,
    human_seconds,
    print_json,
    print_table,
    printable,
)

_DERIVATION: Final = "derive"

OneSource = Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="Only this source.", show_default=False)]


def sources(name: OneSource = None, as_json: AsJson = False) -> None:
    """Show each source: its state, what it brought since its program began, and what waits for the broker.

    Its program is the stack's capture-gateway, or `rugs capture`. A warning says that a source's game states come and
    no tick can be read from them: the feed has changed. The exit code is 0 when all are live and without a warning,
    else 1.
    """
    told = asyncio.run(_ask())
    if name is not None:
        names = [source["name"] for source in told]
        if name not in names:
            raise CommandError(f"no source {name}; there are {', '.join(names)}")
        told = [source for source in told if source["name"] == name]
    if as_json:
        print_json(told)
    else:
        print_table([_row(source) for source in told], ("source", "program", "state", "frames", "", "last", "waiting"))
        for source in told:
            for about in filter(None, (game_text(source), trouble(source))):
                print(f"{source['name']}: {printable(about)}")
            for warning in source["warnings"]:
                print(f"{source['name']}: warning: {warning}")
    if not all(source["state"] == "live" and not source["warnings"] for source in told):
        raise typer.Exit(1)


async def _ask() -> list[dict[str, Any]]:
    import rugs_bus
    from rugs_runtime.service import ask_status
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import GATEWAY, running_stack

    settings = Settings.load()
    info = running_stack(settings.data_dir)
    if info is None and settings.nats_url is None:
        raise CommandError("nothing is running: start it with `rugs up`")
    nc = await rugs_bus.connect(info.nats_url if info else settings.broker_url, name="rugs-sources", timeout=2)
    programs = {GATEWAY.name: GATEWAY.name, CAPTURE: "rugs capture"}
    try:
        *answers, derivation = await asyncio.gather(*(ask_status(nc, name) for name in (*programs, _DERIVATION)))
    finally:
        await nc.close()
    told = dict(zip(programs.values(), answers, strict=True))
    if not any(answers):
        raise CommandError("no program that captures answers: see `rugs status`")
    missing = derivation.get("missing", {}) if derivation is not None else {}
    return [
        {**source, "program": program, "warnings": warnings(missing.get(source["source"], {}))}
        for program, answer in told.items()
        if answer
        for source in answer["sources"]
    ]


def warnings(missing: dict[str, int]) -> list[str]:
    """Return what derivation cannot read from a source's game states; `missing` is from how many, by value."""
    return [
        f"no {value.replace('_', ' ')} in the last {counted(states, 'game state')}: no ticks are derived from them"
        for value, states in missing.items()
    ]


def waiting(source: dict[str, Any]) -> int:
    """Return how many events of a source the broker does not have yet."""
    bus = source["bus"]
    return max(0, int(bus["accepted"]) - int(bus["sent"]) - int(bus["refused"]))


def trouble(source: dict[str, Any]) -> str | None:
    """Return what is in a source's way."""
    if source["state"] != "live" and source["error"]:
        retry = source["retry_seconds"]
        again = "" if retry is None else f"; again in {human_seconds(retry)}"
        return f"{source['error']}{again}"
    troubles = [source["warning"], source["bus"]["trouble"]]
    return "; ".join(filter(None, troubles)) or None


def game_text(source: dict[str, Any]) -> str:
    """Return the last game state in a few words."""
    seen = source["game"]
    if seen is None:
        return ""
    price = "" if seen["price"] is None else f" {seen['price']:.4g}x"
    tick = "" if seen["tick"] is None else f" tick {seen['tick']}"
    return f"{seen['game_id']}{tick}{price} {seen['phase'] or ''}".strip()


def _row(source: dict[str, Any]) -> tuple[Any, ...]:
    last = source["last_at"]
    ago = "" if last is None else f"{human_seconds(max(0.0, time.time() - last / 1e6))} ago"
    return (
        source["name"],
        source["program"],
        source["state"],
        source["frames"],
        human_bytes(source["bytes"]),
        ago,
        waiting(source),
    )
