-- Rugbus's own tables beside DuckLake's, in the same database and so in the same transactions.

-- How far each stream has been taken into the lake. Compared and swapped by every commit.
CREATE TABLE rugs_cursor (
    stream TEXT PRIMARY KEY,
    incarnation TEXT NOT NULL,
    last_seq INTEGER NOT NULL,          -- 0: nothing taken yet of this incarnation
    epoch INTEGER NOT NULL,             -- the writer that may commit; every start takes the next
    last_time_us INTEGER,               -- the broker's time of message last_seq
    last_hash BLOB                      -- BLAKE2b-128 of that message's body
) WITHOUT ROWID;

-- Sequences that were taken, neighbours merged. With rugs_gap they tile each incarnation from 1.
CREATE TABLE rugs_range (
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    PRIMARY KEY (stream, incarnation, last_seq)
) WITHOUT ROWID;

-- Sequences that the lake never received, and why. last_seq is NULL where the end is not known.
CREATE TABLE rugs_gap (
    gap_id INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER,
    reason TEXT NOT NULL,
    noted_us INTEGER NOT NULL,
    was_taken INTEGER NOT NULL DEFAULT 0    -- 1: taken, and rows of it lost since, with their file
);

-- What DuckLake has no place for, of each data file.
CREATE TABLE rugs_file (
    data_file_id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,               -- SHA-256 of the file
    schema_version TEXT NOT NULL,
    memory INTEGER NOT NULL,            -- bytes of its rows, uncompressed
    settled INTEGER NOT NULL,           -- how thoroughly it is compressed: 0 as flushed, 1 the best, 2 quickly
    min_ts_us INTEGER NOT NULL,
    max_ts_us INTEGER NOT NULL
);

-- Which files hold which positions of which scope: where an id could already be. Sessions and games without positions,
-- incarnations with their stream sequences, and the empty scope (all entries are there) are for readers.
CREATE TABLE rugs_scope (
    scope BLOB NOT NULL,
    data_file_id INTEGER NOT NULL,
    first_pos INTEGER NOT NULL,
    last_pos INTEGER NOT NULL,
    PRIMARY KEY (scope, data_file_id)
) WITHOUT ROWID;
CREATE INDEX rugs_scope_file ON rugs_scope (data_file_id);

-- Imports: one row a run, a ledger entry once it is done: closed by its last message, and whole.
CREATE TABLE rugs_import (
    run_id TEXT PRIMARY KEY,
    last_message INTEGER NOT NULL,      -- Rugs-Import-Seq taken last
    messages INTEGER NOT NULL,          -- how many were taken: all, if it equals last_message
    stored INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    rejected_before INTEGER NOT NULL DEFAULT 0,
    report TEXT,                        -- set by the run's last message
    sha256 TEXT, reader TEXT, tz TEXT,  -- of the report, once it is done
    done_us INTEGER
) WITHOUT ROWID;
CREATE INDEX rugs_ledger ON rugs_import (sha256, reader, tz) WHERE done_us IS NOT NULL;

-- Rejects that were fed again with success.
CREATE TABLE rugs_retried (reject_id BLOB PRIMARY KEY, retried_us INTEGER NOT NULL) WITHOUT ROWID;

-- What changed rows behind a follower's back: replaced derivations, retention, erasure, lost files.
CREATE TABLE rugs_change (
    number INTEGER PRIMARY KEY,
    snapshot_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL
);

-- Totals over all commits: taken = stored + duplicates + rejected. Of stored and rejected, `lost` were in lost files.
CREATE TABLE rugs_total (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO rugs_total VALUES ('taken', 0), ('stored', 0), ('duplicates', 0), ('rejected', 0), ('next_row_id', 0);

-- The one transaction that may touch ducklake_snapshot names itself here, and takes its name out before COMMIT.
CREATE TABLE rugs_announced (snapshot_id INTEGER NOT NULL);

CREATE TRIGGER rugs_snapshot_insert BEFORE INSERT ON ducklake_snapshot
WHEN NOT EXISTS (SELECT 1 FROM rugs_announced WHERE snapshot_id = NEW.snapshot_id)
BEGIN SELECT RAISE(ABORT, 'only Rugbus writes this catalog: attach it with READ_ONLY'); END;

CREATE TRIGGER rugs_snapshot_update BEFORE UPDATE ON ducklake_snapshot
BEGIN SELECT RAISE(ABORT, 'only Rugbus writes this catalog: attach it with READ_ONLY'); END;

CREATE TRIGGER rugs_snapshot_delete BEFORE DELETE ON ducklake_snapshot
WHEN NOT EXISTS (SELECT 1 FROM rugs_announced)
BEGIN SELECT RAISE(ABORT, 'only Rugbus writes this catalog: attach it with READ_ONLY'); END;

CREATE INDEX rugs_live_file ON ducklake_data_file (data_file_id) WHERE end_snapshot IS NULL;
CREATE INDEX rugs_ended_file ON ducklake_data_file (end_snapshot) WHERE end_snapshot IS NOT NULL;
CREATE INDEX rugs_file_stats ON ducklake_file_column_stats (data_file_id);
CREATE INDEX rugs_file_partition ON ducklake_file_partition_value (data_file_id);
