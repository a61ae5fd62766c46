/* SPDX-License-Identifier: MIT */
/* Errors of the fake server, in full: in a real driver this file translates the engine's codes to classes. */

#include <stdio.h>
#include <string.h>

#include "fake_impl.h"

/* Source: PostgreSQL 15 manual, appendix A "PostgreSQL Error Codes"; the server speaks its dialect. */
static const struct {
        dal_error_class error_class;
        char sqlstate[6];
} states[] = {
        {DAL_CLASS_UNIQUE, "23505"},
        {DAL_CLASS_FOREIGN_KEY, "23503"},
        {DAL_CLASS_NOT_NULL, "23502"},
        {DAL_CLASS_CHECK, "23514"},
        {DAL_CLASS_DATA, "22000"},
        {DAL_CLASS_SERIALIZATION, "40001"},
        {DAL_CLASS_DEADLOCK, "40P01"},
        {DAL_CLASS_LOCK_TIMEOUT, "55P03"},
        {DAL_CLASS_STALE_MAP, "DL001"},
        {DAL_CLASS_SLOT_BLOCKED, "DL002"},
        {DAL_CLASS_SCHEMA_CHANGED, "0A000"},
        {DAL_CLASS_STATEMENT_TIMEOUT, "57014"},
        {DAL_CLASS_CANCELED, "57014"},
        {DAL_CLASS_TX_TIMEOUT, "25P03"},
        {DAL_CLASS_CONNECTION_LOST, "08006"},
        {DAL_CLASS_CONNECT_FAILED, "08001"},
        {DAL_CLASS_READ_ONLY_SERVER, "25006"},
        {DAL_CLASS_READ_ONLY_TX, "25006"},
        {DAL_CLASS_AUTH, "28P01"},
        {DAL_CLASS_PRIVILEGE, "42501"},
        {DAL_CLASS_SYNTAX, "42601"},
        {DAL_CLASS_UNDEFINED_OBJECT, "42P01"},
        {DAL_CLASS_TOO_MANY_CONNECTIONS, "53300"},
        {DAL_CLASS_OUT_OF_RESOURCES, "53200"},
        {DAL_CLASS_PACKET_TOO_LARGE, "54000"},
        {DAL_CLASS_COMMIT_UNKNOWN, "08007"},
        {DAL_CLASS_TX_STATE, "25P02"},
        {DAL_CLASS_XA, "55000"},
        {DAL_CLASS_UNSUPPORTED, "0A000"},
        {DAL_CLASS_SERVER_OTHER, "P0001"},
};

static bool ends_connection(dal_error_class error_class)
{
        return error_class == DAL_CLASS_CONNECTION_LOST || error_class == DAL_CLASS_TX_TIMEOUT ||
               error_class == DAL_CLASS_CONNECT_FAILED || error_class == DAL_CLASS_AUTH ||
               error_class == DAL_CLASS_TOO_MANY_CONNECTIONS;
}

dal_status dal__fake_error(const fake_conn *conn, dal_error *err, dal_error_class error_class,
                           const char *what)
{
        dal_status s = dal_error_set(err, error_class, "the fake server says: %s%s%s",
                                     dal_error_class_text(error_class), what ? ": " : "", what ? what : "");

        if (!err)
                return s;
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
                if (states[i].error_class == error_class)
                        memcpy(err->sqlstate, states[i].sqlstate, sizeof err->sqlstate);
        }
        if (error_class == DAL_CLASS_UNIQUE && what) {
                snprintf(err->table, sizeof err->table, "%s", what);
                snprintf(err->constraint, sizeof err->constraint, "%.50s_pkey", what);
        }
        /* The answer to a request given up on would be taken for that of the next one. */
        err->conn_gone = ends_connection(error_class) || error_class == DAL_CLASS_DEADLINE;
        err->tx_gone = err->conn_gone || (conn->modal && error_class == DAL_CLASS_DEADLOCK);
        return s;
}

dal_status dal__fake_error_of_fault(fake_conn *conn, const dal_fake_fault *fault, dal_error *err)
{
        dal_error own = DAL_ERROR_INIT;
        dal_status s = dal__fake_error(conn, &own, fault->error_class, "injected");

        own.conn_gone = own.conn_gone || fault->conn_gone;
        own.tx_gone = own.tx_gone || fault->tx_gone || own.conn_gone;
        own.not_sent = fault->not_sent;
        if (err)
                *err = own;
        return s;
}
