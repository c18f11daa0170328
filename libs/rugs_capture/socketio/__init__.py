"""A Socket.IO client that records: Engine.IO 4 and Socket.IO 5, over WebSocket or HTTP long polling.

`connection` decides, without I/O, what a client answers and how long it waits. `transports` moves the
messages, `watch` ends what has been silent for too long, `endings` says in plain words why a connection ended.
"""
