"""The one error of the readers."""


class UnreadableError(ValueError):
    """A line that is no record of its format; the message is the reason, on one line."""
