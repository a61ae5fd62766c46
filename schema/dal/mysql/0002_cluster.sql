-- The catalog: which shards there are and which one owns each slot. Filled only in the catalog database.

CREATE TABLE dal_cluster (
        id           SMALLINT    NOT NULL PRIMARY KEY,
        cluster_id   VARCHAR(32) NOT NULL,                    -- 32 hex digits
        scheme_int64 VARCHAR(32) NOT NULL,                    -- how integer keys are hashed: 'fmix64/1'
        scheme_bytes VARCHAR(32) NOT NULL,                    -- how all other keys are: 'sha256be8/1'
        slot_bits    SMALLINT    NOT NULL,
        map_version  BIGINT      NOT NULL,                    -- raised by every change of the slot map
        CHECK (id = 1)                                        -- exactly one row
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE dal_shard (
        shard_id SMALLINT      NOT NULL PRIMARY KEY,
        url      VARCHAR(1024) NOT NULL,
        state    VARCHAR(16)   NOT NULL DEFAULT 'active',
        weight   INT           NOT NULL DEFAULT 1
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE dal_slot_map (
        slot        SMALLINT NOT NULL PRIMARY KEY,
        shard_id    SMALLINT NOT NULL,
        epoch       BIGINT   NOT NULL,                        -- raised by each move of the slot
        map_version BIGINT   NOT NULL,                        -- of the change that wrote this row
        KEY dal_slot_map_version (map_version),               -- routers ask for what is newer than their own map
        CHECK (slot BETWEEN 0 AND 16383),
        FOREIGN KEY (shard_id) REFERENCES dal_shard (shard_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
