-- What followers of the lake need: see `rugs_lake.store.positions` and `rugs_lake.store.checkpoints`.

-- The order in which the lake began the incarnations of its streams. One that is begun again, because nothing of it had
-- been taken, gets a new number.
CREATE TABLE rugs_incarnation (
    number INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    UNIQUE (stream, incarnation)
);

-- How far each follower has come, and the id of the store of its own for which that is true.
CREATE TABLE rugs_follower (
    name TEXT PRIMARY KEY,
    store TEXT NOT NULL,
    incarnation INTEGER NOT NULL,       -- its number
    seq INTEGER NOT NULL,
    change INTEGER NOT NULL
) WITHOUT ROWID;
