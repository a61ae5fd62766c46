-- Stock is local: each shard has its own allotment of each product, and sells from that.
CREATE TABLE stock (
        sku     VARCHAR(64) NOT NULL PRIMARY KEY,
        on_hand BIGINT      NOT NULL,
        CHECK (on_hand >= 0)
);

-- What came in and what was corrected; nothing here was sold. The sum is what counts as received.
CREATE TABLE stock_moves (
        sku       VARCHAR(64)   NOT NULL,
        reference VARCHAR(64)   NOT NULL,           -- 'allotment', or the invoice of a correction
        line_no   BIGINT        NOT NULL,           -- of the ledger; 0 for the allotment
        quantity  BIGINT        NOT NULL,
        reason    VARCHAR(1000) NOT NULL,
        PRIMARY KEY (sku, reference, line_no)
);
