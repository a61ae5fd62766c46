-- What was applied to this database, by area and version, and how far a script got.
--
-- Where DDL is not transactional, n_begun is written before a statement runs and n_done after it. n_begun > n_done
-- in state 'applying' therefore means: that statement may or may not have taken effect.
CREATE TABLE IF NOT EXISTS dal_schema_history (
        area           TEXT      NOT NULL,
        version        TEXT      NOT NULL,
        name           TEXT      NOT NULL,
        sha256         TEXT      NOT NULL,              -- of the file, line ends as LF
        n_statements   INTEGER   NOT NULL,
        n_begun        INTEGER   NOT NULL,
        n_done         INTEGER   NOT NULL,
        statement_hash TEXT      NOT NULL,              -- SHA-256 of the finished statements
        state          TEXT      NOT NULL,              -- applying, applied, failed
        applied_by     TEXT      NOT NULL,
        tool_version   TEXT      NOT NULL,
        started_at     TIMESTAMP NOT NULL,
        duration_ms    INTEGER   NOT NULL DEFAULT 0,
        note           TEXT      NOT NULL DEFAULT '',   -- last error, or who settled an uncertain statement
        PRIMARY KEY (area, version),
        CHECK (state IN ('applying', 'applied', 'failed'))
) WITHOUT ROWID;
