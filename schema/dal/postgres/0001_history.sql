-- What was applied to this database, by area and version, and how far a script got.
--
-- Where DDL is not transactional, n_begun is written before a statement runs and n_done after it. n_begun > n_done
-- in state 'applying' therefore means: that statement may or may not have taken effect.
CREATE TABLE IF NOT EXISTS dal_schema_history (
        area           VARCHAR(64)   NOT NULL,
        version        VARCHAR(16)   NOT NULL,
        name           VARCHAR(128)  NOT NULL,
        sha256         VARCHAR(64)   NOT NULL,              -- of the file, line ends as LF
        n_statements   INTEGER       NOT NULL,
        n_begun        INTEGER       NOT NULL,
        n_done         INTEGER       NOT NULL,
        statement_hash VARCHAR(64)   NOT NULL,              -- SHA-256 of the finished statements
        state          VARCHAR(16)   NOT NULL,              -- applying, applied, failed
        applied_by     VARCHAR(64)   NOT NULL,
        tool_version   VARCHAR(32)   NOT NULL,
        started_at     TIMESTAMPTZ   NOT NULL,
        duration_ms    BIGINT        NOT NULL DEFAULT 0,
        note           VARCHAR(1024) NOT NULL DEFAULT '',   -- last error, or who settled an uncertain statement
        PRIMARY KEY (area, version),
        CHECK (state IN ('applying', 'applied', 'failed'))
);
