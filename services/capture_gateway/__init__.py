"""The capture-gateway: whatever is sent arrives on the bus, once, in order, unaltered."""
