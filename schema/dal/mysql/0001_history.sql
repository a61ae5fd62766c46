-- What was applied to this database, by area and version, and how far a script got.
--
-- DDL is not transactional here: n_begun is written before a statement runs and n_done after it. n_begun > n_done
-- in state 'applying' therefore means: that statement may or may not have taken effect.
CREATE TABLE IF NOT EXISTS dal_schema_history (
        area           VARCHAR(64)   NOT NULL,
        version        VARCHAR(16)   NOT NULL,
        name           VARCHAR(128)  NOT NULL,
        sha256         VARCHAR(64)   NOT NULL,              -- of the file, line ends as LF
        n_statements   INT           NOT NULL,
        n_begun        INT           NOT NULL,
        n_done         INT           NOT NULL,
        statement_hash VARCHAR(64)   NOT NULL,              -- SHA-256 of the finished statements
        state          VARCHAR(16)   NOT NULL,              -- applying, applied, failed
        applied_by     VARCHAR(64)   NOT NULL,
        tool_version   VARCHAR(32)   NOT NULL,
        started_at     DATETIME(6)   NOT NULL,
        duration_ms    BIGINT        NOT NULL DEFAULT 0,
        note           VARCHAR(1024) NOT NULL DEFAULT '',   -- last error, or who settled an uncertain statement
        PRIMARY KEY (area, version),
        CHECK (state IN ('applying', 'applied', 'failed'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
