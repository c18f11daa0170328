-- Ids of derived events without a natural key, and of keyed events, which no scope narrows down: an entry each, 46 bits
-- of the id and the day of its row. An entry says where to look: one without a row does no harm, a row without an entry would.

-- Entries as they come.
CREATE TABLE rugs_id (entry INTEGER PRIMARY KEY);

-- Entries packed by compaction: 8 bytes each, sorted; a block has those from its `first` up to the next block's.
CREATE TABLE rugs_id_block (first INTEGER PRIMARY KEY, entries BLOB NOT NULL);

-- Live files from before these tables: their derived ids are in rugs_scope until compaction takes them over.
CREATE TABLE rugs_id_untaken (data_file_id INTEGER PRIMARY KEY);
