"""What happens in the corpus: who plays, which games there are, and what is done and said in them.

Everything is invented. Times are UTC. A game's name is stable: questions refer to it.
"""

from __future__ import annotations

from typing import Final

from rugs_sim.made_up.chance import Chance
from tests.retrieval.plan_types import Bet, CapturePlan, GamePlan, Moment, Press, Remark, Trade

CAST: Final = {
    "MossyRook": 31,
    "tidalfern": 12,
    "QuietAnvil": 54,
    "pebblewitch": 8,
    "dr_lantern": 22,
    "SaltyOtter": 47,
    "Grandma_Bits": 63,
    "zephyrine": 5,
    "ironquill": 38,
    "bluebadger": 17,
    "nocturne9": 29,
    "captain_kelp": 41,
    "HeronBot": 10,
    "velvetmole": 3,
}
"""Players and their levels."""
BOT: Final = "HeronBot"


TICK_GAMES: Final = tuple(
    GamePlan(name, start, curve)
    for name, start, curve in (
        ("dec06-dud", "2025-12-06T18:02:10", "1:1.03 3"),
        ("dec06-bleed", "2025-12-06T18:04:00", "30:1.15 220:0.52 430:0.31 431"),
        ("dec06-double", "2025-12-06T18:08:30", "60:1.6 118:2.41 131"),
        ("dec06-tenner", "2025-12-06T18:11:00", "80:4.4 205:12.83 240:9.1 244"),
        ("dec06-flat", "2025-12-06T18:15:00", "150:1.08 300:0.93 600:1.05 640"),
        ("dec06-quickspike", "2025-12-06T18:21:00", "8:3.2 14:11.6 19"),
        ("dec14-stillborn", "2025-12-14T09:30:00", "1:1.01 2"),
        ("dec14-morning", "2025-12-14T09:31:00", "70:2.9 90:1.4 140:3.3 170"),
        ("dec14-rocket", "2025-12-14T09:34:00", "100:9.8 180:31.2 262:57.94 275"),
        ("dec14-twinpeaks", "2025-12-14T20:30:30", "60:6.2 110:1.3 175:6.9 210:1.1 224"),
        ("dec14-sag", "2025-12-14T20:33:00", "12:1.2 160:0.44 300:0.21 333"),
        ("dec14-brief", "2025-12-14T20:36:00", "10:1.3 24"),
        ("dec14-evening", "2025-12-14T20:37:00", "90:4.7 150:2.2 151"),
        ("dec14-grind", "2025-12-14T20:40:00", "200:1.9 500:3.8 900:5.1 905"),
        ("dec21-moon", "2025-12-21T03:10:00", "120:14 260:66 410:131.7 440:92 452"),
        ("dec21-after", "2025-12-21T03:13:30", "20:1.4 55"),
        ("dec21-collapse", "2025-12-21T03:15:00", "150:22.4 158:1.6 260:1.2 300"),
        ("dec21-zombie", "2025-12-21T03:18:00", "40:0.34 700:0.12 1240:0.28 1312"),
        ("dec21-threehumps", "2025-12-21T03:25:00", "40:3.4 70:1.2 110:3.9 150:1.1 200:3.6 230:1.3 238"),
        ("dec21-nickel", "2025-12-21T03:28:00", "50:5.05 61"),
        ("dec21-lunch", "2025-12-21T12:00:30", "30:1.7 90:2.05 96"),
        ("dec21-pop", "2025-12-21T12:02:00", "4:1.2 5"),
        ("dec31-countdown", "2025-12-31T23:56:00", "110:8.4 190:18.9 230:15 236"),
        ("dec31-midnight", "2025-12-31T23:59:20", "90:2.2 170:3.1 260:1.8 281"),
        ("jan01-first", "2026-01-01T00:02:00", "30:2.6 44"),
        ("jan01-hangover", "2026-01-01T00:04:00", "25:0.8 180:0.25 199"),
        ("jan10-climb", "2026-01-10T16:00:00", "100:3 240:10.4 330:16.2 345"),
        ("jan10-trap", "2026-01-10T16:03:00", "15:2.8 22:0.4 26"),
        ("jan10-lull", "2026-01-10T16:04:30", "200:1.2 380:0.9 402"),
        ("jan10-leap", "2026-01-10T16:08:00", "88:2.1 89:21.4 120:24.8 133"),
        ("jan10-plain", "2026-01-10T16:11:00", "60:1.9 75"),
        ("jan10-tiny", "2026-01-10T16:12:00", "2:1.05 4"),
        ("feb03-dawn", "2026-02-03T06:30:00", "140:7.7 190:3 201"),
        ("feb03-fortyseven", "2026-02-03T06:33:00", "160:20 280:47.3 300:41 310"),
        ("feb03-drip", "2026-02-03T06:37:00", "90:0.7 350:0.41 372"),
        ("feb03-snap", "2026-02-03T06:40:00", "6:1.8 9"),
        ("feb03-stairs", "2026-02-03T06:41:00", "50:2 100:2 150:4 200:4 250:8 300:8 318"),
        ("mar17-emerald", "2026-03-17T21:00:00", "130:11.1 210:29.5 255"),
        ("mar17-shrug", "2026-03-17T21:03:00", "40:1.5 66"),
        ("mar17-limp", "2026-03-17T21:04:00", "80:0.88 110"),
        ("mar17-late", "2026-03-17T21:06:00", "300:2.4 620:6.6 655"),
        ("jun20-solstice", "2026-06-20T10:00:00", "210:40 390:104.2 398"),
        ("jun20-yoyo", "2026-06-20T10:03:00", "30:4.1 55:0.9 85:4.4 115:0.8 145:4.2 160"),
        ("jun20-fade", "2026-06-20T10:05:00", "18:2.2 150:0.6 188"),
    )
)
"""Games of which only the ticks were recorded, a file each."""

DEMONSTRATION: Final = (
    "dec21-lunch",
    (
        Press(3, "+0.01"),
        Press(4, "+0.01"),
        Press(6, "BUY", 0.02, "demo-buy"),
        Press(28, "50%"),
        Press(30, "SELL", 0.02, "demo-half-sale"),
        Press(62, "SIDEBET", 0.005, "demo-sidebet"),
        Press(88, "100%"),
        Press(91, "SELL", 0.02, "demo-exit"),
    ),
)
"""The game that a player demonstrated, and the buttons."""
PRESSED: Final = (
    "jan10-leap",
    (
        Press(20, "MAX"),
        Press(24, "BUY", 0.5, "leap-buy"),
        Press(87, "SELL", 0.5, "leap-early-sale"),
        Press(96, "BUY", 1.25, "leap-regret"),
    ),
)
"""The same, recorded together with the server's state."""

CAPTURES: Final = (
    CapturePlan(
        "2025-12-12_17-16-58_raw.jsonl",
        "raw",
        GamePlan("dec12-before", "2025-12-12T22:14:00", "50:2.2 83"),
        (
            GamePlan(
                "dec12-opening",
                "2025-12-12T22:17:15",
                "40:2.6 70:3.4 96",
                (
                    Remark(-8, "MossyRook", "who else thinks the lag is terrible tonight", "lag-complaint"),
                    Trade(5, "QuietAnvil", "buy", 1.5, "anvil-opening-buy"),
                    Trade(31, "pebblewitch", "buy", 0.05),
                    Trade(71, "QuietAnvil", "sell", ref="anvil-top-sale"),
                    Remark(74, "SaltyOtter", "anvil sold the exact top, unreal timing", "otter-praise"),
                ),
            ),
            GamePlan(
                "dec12-ambush",
                "2025-12-12T22:18:20",
                "3:1.1 5",
                (
                    Bet(1, "Grandma_Bits", 0.2, "grandma-instarug-bet"),
                    Remark(3, "dr_lantern", "lost everything in one second lol", "lantern-loss"),
                ),
            ),
            GamePlan(
                "dec12-whale",
                "2025-12-12T22:19:00",
                "50:4.6 88:10.9 101",
                (
                    Trade(12, "captain_kelp", "buy", 9.75, "kelp-whale-buy"),
                    Trade(60, "captain_kelp", "sell", ref="kelp-whale-sale"),
                    Remark(64, "bluebadger", "captain_kelp just cashed out a house deposit", "badger-whale"),
                    Bet(66, "bluebadger", 0.03, "badger-bet"),
                ),
            ),
        ),
    ),
    CapturePlan(
        "2025-12-14_20-17-10_raw.jsonl",
        "raw",
        GamePlan("dec15-before", "2025-12-15T01:14:30", "60:1.9 92"),
        (
            GamePlan(
                "dec15-golden",
                "2025-12-15T01:17:30",
                "60:5.5 95:7.2 118",
                (
                    Moment(-12, "connected"),
                    Moment(-6, "golden-active", "golden-hour-on"),
                    Remark(2, "ironquill", "golden hour is live, get your tickets", "quill-golden"),
                    Trade(9, "zephyrine", "buy", 0.75, "zephyrine-first-buy"),
                    Moment(114, "golden-drawing", "first-drawing"),
                    Moment(115, "golden-notification", "golden-over-notice"),
                ),
            ),
            GamePlan(
                "dec15-drawing",
                "2025-12-15T01:18:50",
                "30:1.8 64",
                (
                    Remark(6, "zephyrine", "wait did i actually win the draw??", "zephyrine-wins"),
                    Remark(9, "nocturne9", "congrats, drinks on you", "nocturne-reply", reply_to="zephyrine-wins"),
                    Moment(40, "golden-completed"),
                    Moment(44, "battle-scheduled", "battle-planned"),
                ),
            ),
            GamePlan(
                "dec15-short",
                "2025-12-15T01:19:45",
                "25:2.2 52",
                (
                    Trade(4, "velvetmole", "buy", 0.01, "mole-tiny-buy"),
                    Trade(41, "MossyRook", "short_open", 0.6, "rook-short"),
                    Remark(50, "velvetmole", "is the site in spanish anywhere? no entiendo nada", "mole-spanish"),
                ),
            ),
            GamePlan(
                "dec15-hundred",
                "2025-12-15T01:20:40",
                "60:21 130:74 168:118.6 176",
                (
                    Trade(8, "Grandma_Bits", "buy", 0.3, "grandma-moon-buy"),
                    Trade(160, "Grandma_Bits", "sell", ref="grandma-moon-sale"),
                    Remark(165, "Grandma_Bits", "told you kids patience pays", "grandma-brag"),
                    Moment(170, "god-candle", "god-candle-news"),
                ),
            ),
        ),
    ),
    CapturePlan(
        "2026-01-18_14-05-00_raw.jsonl",
        "raw",
        GamePlan("jan18-before", "2026-01-18T19:02:30", "80:3.1 97"),
        (
            GamePlan(
                "jan18-royale",
                "2026-01-18T19:05:20",
                "50:3.9 84",
                (
                    Moment(-13, "connected", "royale-on-connect"),
                    Moment(4, "royale-running", "royale-scoreboard"),
                    Moment(30, "sidebet-tournament", "sidebet-contest"),
                    Remark(40, "tidalfern", "anyone understand the practice token thing", "fern-practice"),
                ),
            ),
            GamePlan(
                "jan18-duel",
                "2026-01-18T19:06:30",
                "35:2.3 60:1.2 77",
                (
                    Trade(6, "ironquill", "buy", 2.0, "quill-duel-buy"),
                    Trade(7, "dr_lantern", "buy", 2.0, "lantern-duel-buy"),
                    Trade(36, "ironquill", "sell", ref="quill-duel-sale"),
                    Remark(70, "dr_lantern", "should have followed quill out", "lantern-regret"),
                ),
            ),
            GamePlan(
                "jan18-reboot",
                "2026-01-18T19:07:30",
                "20:1.4 57",
                (
                    Moment(10, "maintenance", "reboot-warning"),
                    Remark(18, "SaltyOtter", "server going down after this one, save yourselves", "otter-reboot"),
                    Moment(56, "connection-lost", "recorder-thrown-out"),
                ),
            ),
        ),
        history_prices=False,
    ),
    CapturePlan(
        "2026-02-14_19-30-00_raw.jsonl",
        "raw",
        GamePlan("feb14-before", "2026-02-15T00:27:00", "45:1.6 71"),
        (
            GamePlan(
                "feb14-valentine",
                "2026-02-15T00:30:20",
                "70:6.4 103",
                (
                    Remark(-5, "tidalfern", "happy valentines you degenerates", "fern-valentine"),
                    Trade(14, "nocturne9", "buy", 0.4, "nocturne-buy"),
                    Bet(62, "nocturne9", 0.15, "nocturne-bet"),
                ),
            ),
            GamePlan(
                "feb14-pool",
                "2026-02-15T00:31:40",
                "2:1.02 4",
                (Moment(3, "pool-status"), Moment(3, "pool-drawing", "pool-draw-news")),
            ),
            GamePlan(
                "feb14-bonus",
                "2026-02-15T00:32:20",
                "44:2.9 90",
                (
                    Trade(11, "bluebadger", "bonus_buy", 0.25, "badger-bonus-buy"),
                    Remark(39, "pebblewitch", "how do i get the discord role", "witch-discord"),
                    Remark(
                        46, "captain_kelp", "ask a mod, they hand it out manually", "kelp-mod", reply_to="witch-discord"
                    ),
                ),
            ),
        ),
        history_prices=False,
    ),
    CapturePlan(
        "2026-03-05_12-00-00_cdp.jsonl",
        "cdp",
        GamePlan("mar05-before", "2026-03-05T16:57:00", "33:1.4 58"),
        (
            GamePlan("mar05-login", "2026-03-05T17:00:20", "40:2.8 79", (Moment(-13, "login"), Moment(20, "own-view"))),
            GamePlan("mar05-orders", "2026-03-05T17:01:30", "55:3.7 98", (Moment(8, "orders"), Moment(60, "account"))),
        ),
        history_prices=False,
    ),
    CapturePlan(
        "20260704T150000.000000Z-aaaaaaaaaaaa",
        "live",
        GamePlan("jul04-before", "2026-07-04T14:57:00", "40:1.7 66"),
        (
            GamePlan(
                "jul04-parade",
                "2026-07-04T15:00:20",
                "60:4.9 93",
                (
                    Remark(-7, "MossyRook", "fireworks at 5x please", "rook-fireworks"),
                    Trade(16, "SaltyOtter", "buy", 3.3, "otter-parade-buy"),
                    Moment(50, "acknowledgements"),
                ),
            ),
            GamePlan("jul04-cutoff", "2026-07-04T15:01:40", "30:2.1 68"),
        ),
        history_prices=False,
    ),
    CapturePlan(
        "20260704T151200.000000Z-bbbbbbbbbbbb",
        "live",
        GamePlan("jul04-unseen", "2026-07-04T15:09:30", "75:2.5 88"),
        (
            GamePlan("jul04-return", "2026-07-04T15:12:20", "70:7.8 112", (Moment(30, "rug-pass"),)),
            GamePlan("jul04-finale", "2026-07-04T15:13:50", "80:13.4 131", (Moment(-12, "documented"),)),
        ),
        history_prices=False,
    ),
)

OUTAGE_CAUSE: Final = "transport error: the router was restarted"
"""Why nothing was recorded between the two live sessions."""

BOT_ORDERS: Final = (
    ("jul04-parade", Trade(12, BOT, "buy", 0.1, "bot-parade-buy")),
    ("jul04-parade", Trade(58, BOT, "sell", 0.1, "bot-parade-sale")),
    ("jul04-return", Trade(18, BOT, "buy", 0.2, "bot-return-buy")),
    ("jul04-return", Trade(66, BOT, "sell", 0.2, "bot-return-sale")),
    ("jul04-finale", Trade(40, BOT, "sidebet", 0.05, "bot-finale-bet")),
    ("jul04-finale", Trade(90, BOT, "buy", 0.8, "bot-finale-late-buy")),
)
"""What the bot did, as it published it."""


def filler_games() -> tuple[GamePlan, ...]:
    """Return games of which nothing is remarkable, so that the others are not alone."""
    chance = Chance(20_251_203)
    plans = []
    for day in ("2025-12-27T14", "2026-01-25T08", "2026-04-11T22"):
        for place in range(8):
            rug = chance.whole(40, 190)
            top = chance.whole(rug // 4, rug - 10)
            curve = f"{top // 2}:{chance.between(1.05, 1.2):.2f} {top}:{chance.between(1.25, 4.6):.2f} {rug}"
            plans.append(GamePlan(f"{day[2:10]}-filler-{place}", f"{day}:{5 * place:02d}:00", curve))
    return tuple(plans)
