-- The catalogue: a reference table, with the same rows on every shard.
CREATE TABLE products (
        sku         VARCHAR(64)   NOT NULL PRIMARY KEY,
        description VARCHAR(1000) NOT NULL
);
