-- Which shard of which cluster this database is; checked at connect, so that a wrong URL is a hard error.
CREATE TABLE dal_identity (
        id         SMALLINT    NOT NULL PRIMARY KEY,
        cluster_id VARCHAR(32) NOT NULL,
        shard_id   SMALLINT    NOT NULL,
        CHECK (id = 1)                                        -- at most one row
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
