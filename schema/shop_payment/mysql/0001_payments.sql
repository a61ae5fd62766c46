-- One payment for each order, on the order's shard; a negative one is a refund.
-- The collation compares text byte by byte: 85123A and 85123a are two products.
CREATE TABLE payments (
        invoice_no    VARCHAR(64) NOT NULL,
        part          INTEGER     NOT NULL,
        amount_micros BIGINT      NOT NULL,         -- millionths
        state         VARCHAR(16) NOT NULL,
        PRIMARY KEY (invoice_no, part),
        CHECK (state IN ('booked', 'settled'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
