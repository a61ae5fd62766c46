-- Marks a database as one of the example shop's own: examples/shop empties it before the next run, and touches no
-- database that has other tables and not this one.
CREATE TABLE shop_run (
        id       SMALLINT     NOT NULL PRIMARY KEY,
        source   VARCHAR(255) NOT NULL,             -- the ledger's file name, or the generator's seed
        shard    SMALLINT     NOT NULL,
        n_shards SMALLINT     NOT NULL,
        state    VARCHAR(16)  NOT NULL,
        CHECK (id = 1),                             -- one row
        CHECK (state IN ('running', 'complete'))
);
