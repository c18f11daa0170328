"""Answers of the HTTP door: one shape for all of them."""

from __future__ import annotations

import math

from aiohttp import web

from rugs_capture.ingest.receiving import Outcome
from rugs_capture.ingest.terms import RequestError


def answer(outcome: Outcome) -> web.Response:
    """Return what became of a body: `accepted`, `rejected`, `ids`, `errors`, and `error` where there is trouble."""
    headers = {}
    if outcome.trouble is not None and outcome.trouble.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(outcome.trouble.retry_after))
    if outcome.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response(outcome.reply(), status=outcome.status, headers=headers)


def refusal(trouble: RequestError) -> Outcome:
    """Return the outcome of a request of which nothing was read."""
    return Outcome(trouble=trouble)
