/* SPDX-License-Identifier: MIT */
#include "mysql_impl.h"

#include <string.h>
#include <unistd.h>

#include <dal/mem.h>
#include <openssl/x509.h>

static dal_status copy_text(const char *text, char **out, dal_error *err)
{
        if (!text || !*text)
                return DAL_OK;
        *out = dal_mem_strdup(text, strlen(text));
        return *out ? DAL_OK : dal_error_set(err, DAL_CLASS_NO_MEMORY, "out of memory for a connection");
}

static dal_status copy_file(const dal_dsn *dsn, const char *key, char **out, dal_error *err)
{
        const char *path = dal_dsn_get(dsn, key);

        if (path && *path && access(path, R_OK) != 0)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "%s: the file %s=%.200s can't be read",
                                     dal_dsn_redacted(dsn), key, path);
        return copy_text(path, out, err);
}

/* The roots of OpenSSL's own configuration, unless the URL names a file. */
static dal_status find_roots(dal__mysql_target *target, const dal_dsn *dsn, dal_error *err)
{
        const char *file = X509_get_default_cert_file(), *folder = X509_get_default_cert_dir();
        dal_status s = copy_file(dsn, "sslrootcert", &target->root_file, err);

        if (s || target->root_file)
                return s;
        if (access(file, R_OK) == 0)
                return copy_text(file, &target->root_file, err);
        if (access(folder, R_OK | X_OK) == 0)
                return copy_text(folder, &target->root_folder, err);
        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                             "%s: no trusted roots (%s is missing); install ca-certificates or name a file "
                             "with sslrootcert",
                             dal_dsn_redacted(dsn), file);
}

dal_status dal__mysql_tls_init(dal__mysql_target *target, const dal_dsn *dsn, dal_error *err)
{
        dal_status s = copy_file(dsn, "sslcert", &target->cert, err);

        if (s == DAL_OK)
                s = copy_file(dsn, "sslkey", &target->key, err);
        if (s == DAL_OK)
                s = copy_file(dsn, "server_public_key", &target->public_key, err);
        if (s == DAL_OK && target->tls >= DAL_TLS_VERIFY_CA)
                s = find_roots(target, dsn, err);
        return s;
}

#if MYSQL_IS_CONNECTOR_C

/*
 * Without TLS and off the machine a password must be protected by its plugin alone. Connector/C would fetch the RSA
 * key of caching_sha2_password from whoever answers, and would send clear-text passwords when asked to: it may use
 * those plugins only if the key is known beforehand. Names are looked up by strstr() in the list.
 * Source: run_plugin_auth() in my_auth.c and caching_sha2_pw.c, Connector/C 3.3
 */
static void restrict_plugins(MYSQL *mysql, const dal__mysql_target *target)
{
        if (target->public_key)
                (void)mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                                    "mysql_native_password,client_ed25519,parsec,auth_gssapi_client,"
                                    "caching_sha2_password,sha256_password");
        else
                (void)mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
                                    "mysql_native_password,client_ed25519,parsec,auth_gssapi_client");
        /* The server's default plugin may be a forbidden one although the account uses another. */
        if (!target->public_key)
                (void)mysql_options(mysql, MYSQL_DEFAULT_AUTH, "mysql_native_password");
}

void dal__mysql_tls_set(MYSQL *mysql, const dal__mysql_target *target)
{
        dal__mysql_flag enforce = target->tls != DAL_TLS_OFF, verify = target->tls == DAL_TLS_VERIFY_FULL;

        (void)mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &enforce);
        (void)mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
        if (target->public_key)
                (void)mysql_options(mysql, MYSQL_SERVER_PUBLIC_KEY, target->public_key);
        if (target->tls == DAL_TLS_OFF) {
                if (!target->local)
                        restrict_plugins(mysql, target);
                return;
        }
        /*
         * "Enforce" alone goes on in clear text, password and all, when the server has no TLS. A fingerprint option
         * makes it an error; an empty one is not compared. Source: send_client_reply_packet() in my_auth.c and
         * ma_pvio_start_ssl() in ma_pvio.c
         */
        (void)mysql_options(mysql, MARIADB_OPT_TLS_PEER_FP, "");
        /* With roots the chain is checked, with `verify` also the name: so verify-ca is roots without `verify`. */
        if (target->root_file)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_CA, target->root_file);
        if (target->root_folder)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_CAPATH, target->root_folder);
        if (target->cert)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_CERT, target->cert);
        if (target->key)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_KEY, target->key);
}

#else

void dal__mysql_tls_set(MYSQL *mysql, const dal__mysql_target *target)
{
        static const unsigned modes[] = {
                [DAL_TLS_OFF] = SSL_MODE_DISABLED,
                [DAL_TLS_REQUIRE] = SSL_MODE_REQUIRED,
                [DAL_TLS_VERIFY_CA] = SSL_MODE_VERIFY_CA,
                [DAL_TLS_VERIFY_FULL] = SSL_MODE_VERIFY_IDENTITY,
        };
        unsigned mode = modes[target->tls];
        /* caching_sha2_password in clear text: the key may come from the server only if that is this machine. */
        bool fetch_key = target->tls == DAL_TLS_OFF && target->local && !target->public_key;

        (void)mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
        (void)mysql_options(mysql, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &fetch_key);
        if (target->public_key)
                (void)mysql_options(mysql, MYSQL_SERVER_PUBLIC_KEY, target->public_key);
        if (target->tls == DAL_TLS_OFF)
                return;
        if (target->root_file)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_CA, target->root_file);
        if (target->root_folder)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_CAPATH, target->root_folder);
        if (target->cert)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_CERT, target->cert);
        if (target->key)
                (void)mysql_options(mysql, MYSQL_OPT_SSL_KEY, target->key);
}
#endif
