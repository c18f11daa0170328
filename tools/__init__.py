"""What builds or checks this repository, and is not installed."""
