-- The catalogue: a reference table, with the same rows on every shard.
-- The collation compares text byte by byte: 85123A and 85123a are two products.
CREATE TABLE products (
        sku         VARCHAR(64)   NOT NULL PRIMARY KEY,
        description VARCHAR(1000) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
