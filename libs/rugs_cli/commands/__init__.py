"""One module for each command or group of commands; what is slow to load is loaded inside them."""
