-- Orders and cancellations. Sharded by customer; those without customer by invoice number.
--
-- The primary key makes order entry safe to repeat: an order that is there can't be entered again.
-- The collation compares text byte by byte: 85123A and 85123a are two products.
CREATE TABLE orders (
        invoice_no    VARCHAR(64)  NOT NULL,
        part          INTEGER      NOT NULL,        -- 0; 1 and up when an invoice names several customers
        customer_id   BIGINT,
        country       VARCHAR(100) NOT NULL,
        ordered_at    DATETIME(6),
        kind          VARCHAR(16)  NOT NULL,
        n_lines       INTEGER      NOT NULL,
        amount_micros BIGINT       NOT NULL,        -- millionths
        PRIMARY KEY (invoice_no, part),
        CHECK (kind IN ('order', 'cancellation'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;

CREATE TABLE order_lines (
        invoice_no   VARCHAR(64)   NOT NULL,
        part         INTEGER       NOT NULL,
        line_no      BIGINT        NOT NULL,        -- in the ledger
        sku          VARCHAR(64)   NOT NULL,
        description  VARCHAR(1000) NOT NULL,        -- as the ledger has it
        kind         VARCHAR(16)   NOT NULL,
        quantity     BIGINT        NOT NULL,
        price_micros BIGINT        NOT NULL,
        PRIMARY KEY (invoice_no, part, line_no),
        FOREIGN KEY (invoice_no, part) REFERENCES orders (invoice_no, part),
        CHECK (kind IN ('sale', 'return', 'adjustment'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;
