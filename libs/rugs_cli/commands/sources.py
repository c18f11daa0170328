"""`rugs sources`: where events come from, and how each is doing."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import typer

from rugs_cli.output import AsJson, CommandError, counted, human_bytes, human_seconds, print_json, print_table

_DERIVATION: Final = "derive"


def sources(as_json: AsJson = False) -> None:
    """Show each source: its state, what it brought since the gateway began, and what waits for the broker.

    A warning says that a source's game states come and no tick can be read from them: the feed has changed.
    The exit code is 0 when all are live and without a warning, else 1.
    """
    told = asyncio.run(_ask())
    if as_json:
        print_json(told)
    else:
        print_table([_row(source) for source in told], ("source", "state", "frames", "", "last", "waiting", "game"))
        for source in told:
            if why := trouble(source):
                print(f"{source['name']}: {why}")
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
    try:
        answer, derivation = await asyncio.gather(*(ask_status(nc, name) for name in (GATEWAY.name, _DERIVATION)))
    finally:
        await nc.close()
    if answer is None:
        raise CommandError("the capture-gateway does not answer: see `rugs status`")
    found: list[dict[str, Any]] = answer["sources"]
    missing = derivation.get("missing", {}) if derivation is not None else {}
    return [{**source, "warnings": warnings(missing.get(source["source"], {}))} for source in found]


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
        source["state"],
        source["frames"],
        human_bytes(source["bytes"]),
        ago,
        waiting(source),
        game_text(source),
    )
