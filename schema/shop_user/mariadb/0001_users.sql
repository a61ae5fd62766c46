-- Customers. Sharded by id.
-- The collation compares text byte by byte: 85123A and 85123a are two products.
CREATE TABLE users (
        id      BIGINT       NOT NULL PRIMARY KEY,
        country VARCHAR(100) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
