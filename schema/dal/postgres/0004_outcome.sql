-- How transactions ended, so that a COMMIT whose answer was lost can be asked about: its row is written with it.
--
-- 'C' is written by the transaction itself, 'A' by who asked first and found none: it keeps a late 'C' out. 'P' is no
-- transaction: up to the time in its token was purged. `dalctl outcome purge` deletes rows that are a week old.
CREATE TABLE dal_outcome (
        token BYTEA       PRIMARY KEY CHECK (length(token) = 16),
        state CHAR(1)     NOT NULL CHECK (state IN ('C', 'A', 'P')),
        at    TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP        -- for people: the token holds a time, too
);
