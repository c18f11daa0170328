"""Field discovery."""
