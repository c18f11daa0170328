"""A simulator of the feed: a real Socket.IO server that plays made-up games, or a recording, with faults if wanted.

In a test:

    async with Simulator(Games(seed=1, games=2).play(), speed=50, clients=1, log=path) as simulator:
        ...  # connect to simulator.url
        await simulator.played()
    sent = list(read_log(path))
"""

from rugs_sim.faults import Faults
from rugs_sim.games import START, Games
from rugs_sim.recording import Recording, RecordingError
from rugs_sim.server import Simulator
from rugs_sim.wire_log import Logged, read_log

__all__ = ["START", "Faults", "Games", "Logged", "Recording", "RecordingError", "Simulator", "read_log"]
