"""Views over those of the doc types."""

from __future__ import annotations

from typing import Final

from rugs_lake import domains

OUTAGE: Final = """
SELECT source, coalesce(said[5], session_id) AS session_id, make_timestamptz(since) AS since,
    make_timestamptz(until) AS until, said[3] AS cause, TRY_CAST(said[4] AS BIGINT) AS lost, said[6] AS url,
    said[7] AS page, said[8] IS NOT DISTINCT FROM 'true' AS recovered, date
FROM (
    SELECT *, TRY_CAST(said[1] AS BIGINT) AS since, TRY_CAST(said[2] AS BIGINT) AS until
    FROM (
        SELECT source, session_id, date, json_extract_string(extra, [
            '$.since', '$.until', '$.cause', '$.lost', '$.after_session', '$.url', '$.page', '$.recovered'
        ]) AS said
        FROM system_event WHERE event = 'gap'
    )
) WHERE since IS NOT NULL AND until IS NOT NULL
"""
"""Each recorded outage: what one session may miss between `since` and `until`, and why.

`session_id` is the session that was lost where one was, else the one that says so. `lost` is how many events
were lost where that is known, `url` and `page` belong to a browser's connection, and `recovered` says that the feed
sent again what it sent in that time.
"""


def views() -> dict[str, str]:
    """Return the queries of the views over those of the doc types, by name."""
    return {**domains.views(), "outage": OUTAGE}
