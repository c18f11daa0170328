"""Service: keeps what is made of the lake current: discovery, and the semantic index."""
