"""Derivation as it runs: what follows from the stored events is published on the same bus.

`Follower` follows the stream; `rederive` goes through the lake. Both feed `rugs_feed.derive`,
in stream order, and say the same.
"""

from rugs_derive.following import Follower
from rugs_derive.rederiving import Rederived, rederive

__all__ = ["Follower", "Rederived", "rederive"]
