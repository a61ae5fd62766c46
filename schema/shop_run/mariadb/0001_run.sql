-- Marks a database as one of the example shop's own: examples/shop empties it before the next run, and touches no
-- database that has other tables and not this one.
-- The collation compares text byte by byte: 85123A and 85123a are two products.
CREATE TABLE shop_run (
        id       SMALLINT     NOT NULL PRIMARY KEY,
        source   VARCHAR(255) NOT NULL,             -- the ledger's file name, or the generator's seed
        shard    SMALLINT     NOT NULL,
        n_shards SMALLINT     NOT NULL,
        state    VARCHAR(16)  NOT NULL,
        CHECK (id = 1),                             -- one row
        CHECK (state IN ('running', 'complete'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
