/* SPDX-License-Identifier: MIT */
#include "base/dsn_impl.h"

#include <string.h>

#include <dal/mem.h>

static bool inherit(dal_dsn *dsn, const dal_dsn *base, dal__dsn_key key)
{
        char *text;

        if (dsn->values[key] || !base->values[key])
                return true;
        text = dal_mem_strdup(base->values[key], strlen(base->values[key]));
        dal__dsn_set(dsn, key, text);
        return text != NULL;
}

bool dal__dsn_has_word(const char *list, const char *word)
{
        size_t size = strlen(word);

        while (*list) {
                size_t n = strcspn(list, " ");

                if (n == size && n > 0 && memcmp(list, word, n) == 0)
                        return true;
                list += n;
                list += strspn(list, " ");
        }
        return false;
}

/* Copies the drivers' own keys that stand in the list, or all when there is no list. */
static bool inherit_extras(dal_dsn *dsn, const dal_dsn *base, const char *list)
{
        for (const dal__dsn_extra *extra = base->extras; extra; extra = extra->next) {
                char *text;

                if ((list && !dal__dsn_has_word(list, extra->name)) || dal_dsn_get(dsn, extra->name))
                        continue;
                text = dal_mem_strdup(extra->value, strlen(extra->value));
                if (!text || dal__dsn_set_extra(dsn, extra->name, text, NULL))
                        return false;
        }
        return true;
}

/* Takes from `base` what `dsn` leaves open; false when there is no memory. */
static bool inherit_all(dal_dsn *dsn, const dal_dsn *base, const dal__dsn_rules *rules)
{
        bool ok = true;

        /* A password belongs to its user, and a key to its certificate. */
        if (!dsn->values[DAL__DSN_USER] ||
            strcmp(dsn->values[DAL__DSN_USER], dal__dsn_value(base, DAL__DSN_USER)) == 0)
                ok = inherit(dsn, base, DAL__DSN_USER) && inherit(dsn, base, DAL__DSN_PASSWORD);
        if (!dsn->values[DAL__DSN_SSLCERT] && !dsn->values[DAL__DSN_SSLKEY])
                ok = ok && inherit(dsn, base, DAL__DSN_SSLCERT) && inherit(dsn, base, DAL__DSN_SSLKEY);
        /* What is good enough on one machine must not weaken the way to another in silence. */
        if (!base->local || dal__dsn_is_local_host(dal__dsn_value(dsn, DAL__DSN_HOST)) ||
            base->tls_mode == DAL_TLS_VERIFY_FULL)
                ok = ok && inherit(dsn, base, DAL__DSN_SSLMODE);
        return ok && inherit(dsn, base, DAL__DSN_SSLROOTCERT) &&
               inherit(dsn, base, DAL__DSN_APPLICATION_NAME) &&
               inherit_extras(dsn, base, rules->inherited_keys ? rules->inherited_keys : "");
}

/* A relative file is looked for where the base's file is, wherever the process was started. */
static bool resolve_file(dal_dsn *dsn, const dal_dsn *base)
{
        const char *file = dal_dsn_path(dsn), *base_file = dal_dsn_path(base);
        const char *slash = strrchr(base_file, '/');
        size_t size = slash ? (size_t)(slash - base_file) + 1 : 0;
        char *path;

        /* A word with a colon in front is no file but the engine's own, as in SCHEME::memory: */
        if (size == 0 || file[0] == '/' || file[0] == '\0' || file[0] == ':')
                return true;
        path = dal_mem_alloc(size + strlen(file) + 1);
        if (!path)
                return false;
        memcpy(path, base_file, size);
        memcpy(path + size, file, strlen(file));
        dal__dsn_set(dsn, DAL__DSN_PATH, path);
        return true;
}

static bool copy_values(dal_dsn *copy, const dal_dsn *dsn)
{
        copy->path_only = dsn->path_only;
        copy->scheme = dal_mem_strdup(dsn->scheme, strlen(dsn->scheme));
        for (size_t i = 0; i < DAL__DSN_N_KEYS; i++)
                if (!inherit(copy, dsn, (dal__dsn_key)i))
                        return false;
        return copy->scheme && inherit_extras(copy, dsn, NULL);
}

dal_status dal__dsn_derive(const dal_dsn *dsn, const dal_dsn *base, const char *dbname,
                           const dal__dsn_rules *rules, dal_dsn **out, dal_error *err)
{
        dal_dsn *copy = dal_mem_alloc(sizeof *copy);
        dal_status status;
        bool ok;

        if (!copy)
                return dal__dsn_no_memory(err);
        copy->resolved = true;
        ok = copy_values(copy, dsn);
        if (ok && dbname) {
                copy->path_only = rules->is_file; /* else a relative file would get a slash in front */
                ok = dal__dsn_set_path(copy, dbname, NULL) == DAL_OK;
        }
        if (ok && base && base != dsn)
                ok = inherit_all(copy, base, rules);
        /* A plain copy keeps its file; it stands where the base stands already. */
        if (ok && base && rules->is_file && (base != dsn || dbname))
                ok = resolve_file(copy, base);
        status = ok ? dal__dsn_finish(copy, err) : dal__dsn_no_memory(err);
        if (status) {
                dal_dsn_free(copy);
                return status;
        }
        *out = copy;
        return DAL_OK;
}
