-- The catalog: which shards there are and which one owns each slot. Filled only in the catalog database.

CREATE TABLE dal_cluster (
        id           INTEGER PRIMARY KEY CHECK (id = 1),    -- exactly one row
        cluster_id   TEXT    NOT NULL,                      -- 32 hex digits
        scheme_int64 TEXT    NOT NULL,                      -- how integer keys are hashed: 'fmix64/1'
        scheme_bytes TEXT    NOT NULL,                      -- how all other keys are: 'sha256be8/1'
        slot_bits    INTEGER NOT NULL,
        map_version  INTEGER NOT NULL                       -- raised by every change of the slot map
);

CREATE TABLE dal_shard (
        shard_id INTEGER PRIMARY KEY,
        url      TEXT    NOT NULL,
        state    TEXT    NOT NULL DEFAULT 'active',
        weight   INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE dal_slot_map (
        slot        INTEGER PRIMARY KEY CHECK (slot BETWEEN 0 AND 16383),
        shard_id    INTEGER NOT NULL REFERENCES dal_shard (shard_id),
        epoch       INTEGER NOT NULL,                       -- raised by each move of the slot
        map_version INTEGER NOT NULL                        -- of the change that wrote this row
);

-- Routers ask for what is newer than their own map.
CREATE INDEX dal_slot_map_version ON dal_slot_map (map_version);
