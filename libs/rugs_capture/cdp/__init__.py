"""A Chrome as a source: the WebSockets of its pages and workers, seen through its DevTools protocol.

What Chrome tells is what the page got and sent, so this vantage point sees a player's own
session, with orders and their answers. Nothing is injected, evaluated or changed in any page.
"""

from rugs_capture.cdp.source import CdpSource

__all__ = ["CdpSource"]
