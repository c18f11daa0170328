"""What a producer imports: a publisher that never slows it down and never loses what it can keep."""

from rugs_client.attach import Attachment, attach
from rugs_client.publisher import Publisher, Stats

__all__ = ["Attachment", "Publisher", "Stats", "attach"]
