/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <stdio.h>
#include <string.h>

#include <dal/mem.h>

#define DEFAULT_PORT 3306

/* ---- where to connect ---- */

static dal_status copy_text(const char *text, char **out, dal_error *err)
{
        *out = dal_mem_strdup(text, strlen(text));
        return *out ? DAL_OK : dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
}

/*
 * Resolves the host here, because the client library would do it without a limit. With verify-full the library must
 * be given the name all the same: it compares it with the certificate and takes only one string for both. It then
 * looks up a name that the system has just answered.
 */
static dal_status find_address(dal__mysql_target *target, dal_deadline deadline, dal_error *err)
{
        dal_address address;
        size_t n_found;
        dal_status s = dal_resolver_lookup(target->host, deadline, &address, 1, &n_found, err);

        if (s)
                return s;
        return copy_text(target->tls == DAL_TLS_VERIFY_FULL ? target->host : address.text, &target->address,
                         err);
}

static dal_status find_server(dal__mysql_target *target, const dal_dsn *dsn, dal_deadline deadline,
                              dal_error *err)
{
        const char *socket = dal_dsn_get(dsn, "socket");

        target->port = dal_dsn_port(dsn) ? dal_dsn_port(dsn) : DEFAULT_PORT;
        target->local = dal_dsn_is_local(dsn) || (socket && *socket);
        target->tls = dal_dsn_tls_mode(dsn);
        if (target->host[0] == '/')
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "%s: the host is a path; name the server's Unix socket with socket=PATH",
                                     target->name);
        /* Connector/C takes a comma as the end of one host of several. */
        if (strchr(target->host, ','))
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "%s: name one host, without commas",
                                     target->name);
        /* Else the host would be reached by the TLS rule of the socket, or the other way round. */
        if (socket && *socket && !dal_dsn_is_local(dsn))
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "%s names both a socket and another machine's host: leave one out",
                                     target->name);
        if (socket && *socket)
                return copy_text(socket, &target->socket, err);
        return *target->host ? find_address(target, deadline, err) : DAL_OK;
}

static dal_status fill_target(dal__mysql_target *target, const dal_open_args *args, dal_deadline deadline,
                              dal_error *err)
{
        const dal_dsn *dsn = args->dsn;
        const char *name = dal_dsn_redacted(dsn);
        dal_status s = copy_text(name, &target->name, err);

        if (s == DAL_OK)
                s = copy_text(dal_dsn_host(dsn), &target->host, err);
        if (s == DAL_OK)
                s = copy_text(args->user, &target->user, err);
        /* Without a password the library would look for one in the environment. */
        if (s == DAL_OK)
                s = copy_text(args->password ? args->password : "", &target->password, err);
        if (s == DAL_OK)
                s = copy_text(dal_dsn_dbname(dsn), &target->dbname, err);
        if (s == DAL_OK)
                s = copy_text(args->service, &target->service, err);
        if (s == DAL_OK)
                s = find_server(target, dsn, deadline, err);
        if (s == DAL_OK)
                s = dal__mysql_tls_init(target, dsn, err);
        target->statement_timeout_ms = args->statement_timeout_ms;
        target->lock_timeout_ms = args->lock_timeout_ms;
        return s;
}

void dal__mysql_target_release(dal__mysql_target *target)
{
        if (!target || atomic_fetch_sub(&target->n_holders, 1) != 1)
                return;
        if (target->password)
                dal_mem_wipe(target->password, strlen(target->password));
        dal_mem_free(target->host);
        dal_mem_free(target->address);
        dal_mem_free(target->socket);
        dal_mem_free(target->user);
        dal_mem_free(target->password);
        dal_mem_free(target->dbname);
        dal_mem_free(target->service);
        dal_mem_free(target->root_file);
        dal_mem_free(target->root_folder);
        dal_mem_free(target->cert);
        dal_mem_free(target->key);
        dal_mem_free(target->public_key);
        dal_mem_free(target->name);
        dal_mem_free(target);
}

dal_status dal__mysql_target_new(const dal_open_args *args, dal_deadline deadline, dal__mysql_target **out,
                                 dal_error *err)
{
        dal__mysql_target *target = dal_mem_alloc(sizeof *target);
        dal_status s;

        *out = NULL;
        if (!target)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
        atomic_init(&target->n_holders, 1);
        s = fill_target(target, args, deadline, err);
        if (s)
                dal__mysql_target_release(target);
        else
                *out = target;
        return s;
}

void dal__mysql_target_hold(dal__mysql_target *target)
{
        atomic_fetch_add(&target->n_holders, 1);
}

/* ---- sessions ---- */

/* A server can ask for any file of ours in answer to any statement: it gets none. Source: LOAD DATA LOCAL, security */
static int refuse_file(void **state_out, const char *name, void *arg)
{
        (void)name;
        (void)arg;
        *state_out = NULL;
        return 1;
}

static int read_no_file(void *state, char *buffer, unsigned size)
{
        (void)state;
        (void)buffer;
        (void)size;
        return -1;
}

static void end_no_file(void *state)
{
        (void)state;
}

static int explain_no_file(void *state, char *buffer, unsigned size)
{
        (void)state;
        (void)snprintf(buffer, size, "LOAD DATA LOCAL is switched off");
        return 2000; /* CR_UNKNOWN_ERROR */
}

static void set_options(MYSQL *mysql, const dal__mysql_target *target)
{
        unsigned protocol = target->address ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
        unsigned no_files = 0;
        /* What is received is bounded by the server's max_allowed_packet; the library's own limit is 64 MiB. */
        unsigned long max_packet = 1024ul * 1024 * 1024;
        dal__mysql_flag no = 0;

        (void)mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
        (void)mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
        (void)mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no_files);
        mysql_set_local_infile_handler(mysql, refuse_file, read_no_file, end_no_file, explain_no_file, NULL);
        (void)mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &max_packet);
        (void)mysql_options(mysql, MYSQL_REPORT_DATA_TRUNCATION, &no);
#if MYSQL_IS_CONNECTOR_C
        (void)mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
#endif
        (void)mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", target->service);
        dal__mysql_tls_set(mysql, target);
}

static dal_status open_failed(MYSQL *mysql, const dal__mysql_target *target, dal_deadline deadline,
                              dal_error *err)
{
        dal__mysql_fault fault = {
                .code = mysql_errno(mysql),
                .sqlstate = mysql_sqlstate(mysql),
                .message = mysql_error(mysql),
                .where = target->name,
                .connecting = true,
        };

        if (dal_clock_passed(deadline)) {
                (void)dal_error_set(err, DAL_CLASS_DEADLINE, "%s: not connected before the deadline",
                                    target->name);
                return DAL_ERR_TIMEOUT;
        }
        if (fault.code == 0)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "%s: out of memory for a connection",
                                     target->name);
        return dal__mysql_fault_error(&fault, err);
}

dal_status dal__mysql_session_open(const dal__mysql_target *target, dal__mysql_watchdog **watchdog,
                                   dal_deadline deadline, MYSQL **out, dal_error *err)
{
        MYSQL *mysql = dal__mysql_handle_new();
        bool lost = false;
        dal_status s;

        *out = NULL;
        if (!mysql)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
        set_options(mysql, target);
        if (!dal__mysql_connect(mysql, target, *watchdog, deadline, &lost)) {
                if (lost) {
                        *watchdog = NULL;
                        (void)dal_error_set(err, DAL_CLASS_DEADLINE, "%s: not connected before the deadline",
                                            target->name);
                        return DAL_ERR_TIMEOUT;
                }
                s = open_failed(mysql, target, deadline, err);
                dal__mysql_session_close(mysql);
                return s;
        }
        if (target->tls != DAL_TLS_OFF && !mysql_get_ssl_cipher(mysql)) {
                dal__mysql_session_close(mysql);
                return dal_error_set(err, DAL_CLASS_CONNECT_FAILED,
                                     "%s: the server offers no TLS; switch it on there, or write sslmode=off",
                                     target->name);
        }
        if (!dal__mysql_watchdog_attach(*watchdog, mysql)) {
                dal__mysql_session_close(mysql);
                return dal_error_set(err, DAL_CLASS_OUT_OF_RESOURCES, "no file descriptor is free");
        }
        *out = mysql;
        return DAL_OK;
}

void dal__mysql_session_close(MYSQL *mysql)
{
        /* A deadline in the past: the goodbye is sent if the socket takes it at once. */
        dal__mysql_call call = {.deadline = 0, .tls = true};

        if (!mysql)
                return;
        if (mysql->passwd)
                dal_mem_wipe(mysql->passwd, strlen(mysql->passwd));
        dal__mysql_call_begin(&call);
        mysql_close(mysql);
        dal__mysql_call_end(&call);
}
