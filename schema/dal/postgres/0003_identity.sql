-- Which shard of which cluster this database is; checked at connect, so that a wrong URL is a hard error.
CREATE TABLE dal_identity (
        id         SMALLINT    PRIMARY KEY CHECK (id = 1),    -- at most one row
        cluster_id VARCHAR(32) NOT NULL,
        shard_id   SMALLINT    NOT NULL
);
