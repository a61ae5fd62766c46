/* SPDX-License-Identifier: MIT */
#ifndef DAL_SCHEMA_APPLY_H
#define DAL_SCHEMA_APPLY_H

/* Applies one script: as one transaction where the engine can, statement by statement elsewhere. */

#include <dal/schema.h>

#include "schema/history.h"
#include "schema/script.h"

/* One call of the public functions. */
typedef struct dal__apply_job {
        dal_conn *conn;
        dal_schema_options options;
        const char *area;
        const char *applied_by;
        uint32_t lock_wait_ms;
        uint32_t lock_timeout_ms;
        uint32_t statement_timeout_ms;
        dal__script_list scripts;
        dal__history history;
        bool is_running; /* another session is at it right now */
        bool was_raced;  /* another session wrote the script's row first */
        dal_schema_report report;
} dal__apply_job;

/* Says how far a script is; `row` may be NULL. */
dal_status dal__apply_state(const dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                            dal_script_state *out, dal_error *err);
/* Applies a pending or partial script. STATE class BUSY: another apply was faster and has not finished. */
dal_status dal__apply_script(dal__apply_job *job, const dal__script *script, const dal__history_row *row,
                             dal_error *err);
/* Calls the progress function about statement `i_statement`; UINT32_MAX: about the script as a whole. */
dal_status dal__apply_report(const dal__apply_job *job, const dal__script *script,
                             const dal__history_row *row, dal_script_state state, uint32_t i_statement,
                             dal_error *err);

#endif
