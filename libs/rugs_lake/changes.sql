-- What a change of stored rows leaves in the catalog: the change itself, what must never come back, and retention.

-- How many rows a change rewrote or removed, and what they belonged to (JSON; NULL: unknown, so anything).
ALTER TABLE rugs_change ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rugs_change ADD COLUMN touched TEXT;

-- Rows that the writer refuses, whoever sends them: those in the scope (JSON) of the change with this number.
CREATE TABLE rugs_rule (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL
);

-- Ids of removed rows, each in the scope that the id is unique in. A row with such an id is refused.
CREATE TABLE rugs_tombstone (scope BLOB NOT NULL, id BLOB NOT NULL, PRIMARY KEY (scope, id)) WITHOUT ROWID;

-- Retention: rows of a doc type older than so many days are removed by `rugs retention apply`.
CREATE TABLE rugs_retention (
    doc_type TEXT PRIMARY KEY,
    days INTEGER NOT NULL,
    imported INTEGER NOT NULL           -- 1: imported rows too
) WITHOUT ROWID;

ALTER TABLE rugs_import ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
