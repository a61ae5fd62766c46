-- Customers. Sharded by id.
CREATE TABLE users (
        id      BIGINT       NOT NULL PRIMARY KEY,
        country VARCHAR(100) NOT NULL
);
