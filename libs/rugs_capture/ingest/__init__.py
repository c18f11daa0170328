"""Events that come to us: posted over HTTP, sent through a WebSocket, published on the bus."""
