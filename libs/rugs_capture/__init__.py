"""Live capture: sources, their supervision, derivation from what they bring, and a simulator of the feed."""
