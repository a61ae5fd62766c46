/* SPDX-License-Identifier: MIT */
#include "schema/script.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/lexer.h"

#define MAX_SCRIPT_BYTES (64u << 20)

static dal_status fail_memory(dal_error *err)
{
        return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to read the schema scripts");
}

/* ---- hashes ------------------------------------------------------------------------------------------- */

static void to_hex(const unsigned char *digest, char out[DAL__SCRIPT_HASH_SIZE])
{
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < 32; i++) {
                out[2 * i] = digits[digest[i] >> 4];
                out[2 * i + 1] = digits[digest[i] & 15];
        }
        out[64] = '\0';
}

dal_status dal__script_prefix_hash(const dal__script *script, uint32_t n, char out[DAL__SCRIPT_HASH_SIZE],
                                   dal_error *err)
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
        for (uint32_t i = 0; ok && i < n; i++) {
                const dal__splitter_stmt *s = &script->statements[i];
                ok = EVP_DigestUpdate(context, s->text, s->size) == 1 &&
                     EVP_DigestUpdate(context, "", 1) == 1;
        }
        ok = ok && EVP_DigestFinal_ex(context, digest, NULL) == 1;
        EVP_MD_CTX_free(context);
        if (!ok)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to hash %s", script->path);
        to_hex(digest, out);
        return DAL_OK;
}

static dal_status hash_text(dal__script *script, dal_error *err)
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        if (EVP_Digest(script->text, script->size, digest, NULL, EVP_sha256(), NULL) != 1)
                return dal_error_set(err, DAL_CLASS_NO_MEMORY, "no memory to hash %s", script->path);
        to_hex(digest, script->sha256);
        return DAL_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

/* Line ends become LF, so that a checkout on another system is not a changed script. */
static void normalise(dal__script *script)
{
        size_t n = 0;
        for (size_t i = 0; i < script->size; i++)
                if (script->text[i] != '\r' || i + 1 == script->size || script->text[i + 1] != '\n')
                        script->text[n++] = script->text[i];
        script->text[n] = '\0';
        script->size = n;
}

static dal_status read_text(dal__script *script, dal_error *err)
{
        dal_status status = DAL_OK;
        size_t room = 0;
        FILE *file = fopen(script->path, "rb");
        if (!file)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "can't read the script %s: error %d of open",
                                     script->path, errno);
        while (status == DAL_OK) {
                if (room - script->size < 4096) {
                        char *text;
                        room = room ? room * 2 : 16384;
                        text = dal_mem_resize(script->text, room, 1);
                        if (!text) {
                                status = fail_memory(err);
                                break;
                        }
                        script->text = text;
                }
                size_t n = fread(script->text + script->size, 1, room - script->size - 1, file);
                script->size += n;
                if (n == 0)
                        break;
                if (script->size > MAX_SCRIPT_BYTES)
                        status = dal_error_set(
                                err, DAL_CLASS_ARGUMENT,
                                "%s is larger than %u MiB: load data by another way than schema scripts",
                                script->path, MAX_SCRIPT_BYTES >> 20);
        }
        if (status == DAL_OK && ferror(file))
                status = dal_error_set(err, DAL_CLASS_ARGUMENT, "can't read the script %s: is it a file?",
                                       script->path);
        (void)fclose(file);
        if (status == DAL_OK && memchr(script->text, '\0', script->size))
                status = dal_error_set(err, DAL_CLASS_ARGUMENT, "%s holds a NUL byte: store it as UTF-8 text",
                                       script->path);
        if (status == DAL_OK)
                normalise(script);
        return status;
}

/* ---- directives --------------------------------------------------------------------------------------- */

static dal_status read_directive(dal__script *script, const char *at, const char *end, dal_error *err)
{
        while (at < end) {
                size_t n = 0;
                while (at < end && (*at == ' ' || *at == '\t'))
                        at++;
                while (at + n < end && at[n] != ' ' && at[n] != '\t')
                        n++;
                if (n == 6 && memcmp(at, "tx=off", 6) == 0)
                        script->tx_off = true;
                else if (n > 0 && !(n == 5 && memcmp(at, "tx=on", 5) == 0))
                        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                             "%s: unknown directive \"%.*s\" after \"-- dal:\"; known are "
                                             "tx=on and tx=off",
                                             script->path, (int)n, at);
                at += n;
        }
        return DAL_OK;
}

/* Directives stand in the comment lines before the first statement: "-- dal: tx=off". */
static dal_status read_head(dal__script *script, dal_error *err)
{
        dal_status status = DAL_OK;
        const char *at = script->text;
        const char *end = script->text + script->size;
        if (script->size >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
                at += 3;
        while (status == DAL_OK && at < end) {
                const char *line_end = memchr(at, '\n', (size_t)(end - at));
                if (!line_end)
                        line_end = end;
                while (at < line_end && (*at == ' ' || *at == '\t'))
                        at++;
                if (at < line_end && (line_end - at < 2 || memcmp(at, "--", 2) != 0))
                        return DAL_OK;
                while (at < line_end && (*at == '-' || *at == ' ' || *at == '\t'))
                        at++;
                if (line_end - at >= 4 && memcmp(at, "dal:", 4) == 0)
                        status = read_directive(script, at + 4, line_end, err);
                at = line_end + 1;
        }
        return status;
}

/* ---- statements --------------------------------------------------------------------------------------- */

static dal__token next_token(dal__lexer *lexer)
{
        dal__token token = dal__lexer_next(lexer);
        while (token.kind == DAL__TOKEN_SPACE || token.kind == DAL__TOKEN_COMMENT)
                token = dal__lexer_next(lexer);
        return token;
}

/* Says why a statement does not belong into a script; NULL if it does. */
static const char *refuse(const dal__splitter_stmt *stmt, uint32_t syntax)
{
        static const char *const own_words[] = {"COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE",
                                                "ABORT",  "END",      "XA"};
        static const char transaction[] =
                "a script does not begin or end transactions: dal does (\"-- dal: tx=off\" "
                "on the first line if it must run outside of one)";
        bool is_mysql_like = (syntax & DAL_SQL_HASH_COMMENTS) != 0;
        dal__lexer lexer;
        dal__token first, second;
        dal__lexer_init(&lexer, stmt->text, stmt->size, syntax);
        first = next_token(&lexer);
        second = next_token(&lexer);
        for (size_t i = 0; i < sizeof own_words / sizeof own_words[0]; i++)
                if (dal__lexer_is_word(&first, own_words[i]))
                        return transaction;
        if (dal__lexer_is_word(&first, "BEGIN") && !dal__lexer_is_word(&second, "NOT"))
                return transaction;
        if ((dal__lexer_is_word(&first, "START") || dal__lexer_is_word(&first, "PREPARE")) &&
            dal__lexer_is_word(&second, "TRANSACTION"))
                return transaction;
        if (!is_mysql_like)
                return NULL;
        if (dal__lexer_is_word(&first, "USE"))
                return "USE would leave the database whose history is kept: write database.table, or apply "
                       "the script "
                       "to the other database's URL";
        if ((dal__lexer_is_word(&first, "LOCK") || dal__lexer_is_word(&first, "UNLOCK")) &&
            (dal__lexer_is_word(&second, "TABLES") || dal__lexer_is_word(&second, "TABLE")))
                return "LOCK TABLES would shut out the history table: leave it out, apply runs under its own "
                       "lock";
        if (dal__lexer_is_word(&first, "SET"))
                for (; second.kind != DAL__TOKEN_END; second = next_token(&lexer))
                        if (dal__lexer_is_word(&second, "AUTOCOMMIT"))
                                return "autocommit must stay on while a script is applied: leave this out";
        return NULL;
}

static dal_status add_statement(dal__script *script, const dal__splitter_stmt *stmt, dal_error *err)
{
        uint32_t n = script->n_statements;
        if ((n & (n - 1)) == 0) { /* room is the next power of two */
                void *grown = dal_mem_resize(script->statements, n ? 2 * (size_t)n : 1, sizeof *stmt);
                if (!grown)
                        return fail_memory(err);
                script->statements = grown;
        }
        script->statements[script->n_statements++] = *stmt;
        return DAL_OK;
}

static dal_status cut(dal__script *script, uint32_t syntax, dal_error *err)
{
        dal__splitter splitter;
        dal__splitter_stmt stmt;
        dal_status status;
        bool found;
        dal__splitter_init(&splitter, script->text, script->size, syntax);
        while ((status = dal__splitter_next(&splitter, &stmt, &found, err)) == DAL_OK && found) {
                const char *reason = refuse(&stmt, syntax);
                if (reason)
                        return dal_error_set(err, DAL_CLASS_ARGUMENT, "%s, line %u: %s", script->path,
                                             stmt.line, reason);
                status = add_statement(script, &stmt, err);
                if (status)
                        return status;
        }
        if (status && err) {
                dal_error cause = *err;
                return dal_error_set(err, cause.error_class, "%s, %s", script->path, cause.message);
        }
        return status;
}

static dal_status load_one(dal__script *script, uint32_t syntax, dal_error *err)
{
        dal_status status = read_text(script, err);
        if (status == DAL_OK)
                status = hash_text(script, err);
        if (status == DAL_OK)
                status = read_head(script, err);
        if (status == DAL_OK)
                status = cut(script, syntax, err);
        return status;
}

/* ---- finding ------------------------------------------------------------------------------------------ */

int dal__script_compare_versions(const char *a, const char *b)
{
        size_t size_a, size_b;
        while (*a == '0')
                a++;
        while (*b == '0')
                b++;
        size_a = strlen(a);
        size_b = strlen(b);
        if (size_a != size_b)
                return size_a < size_b ? -1 : 1;
        return strcmp(a, b);
}

static int compare_scripts(const void *a, const void *b)
{
        return dal__script_compare_versions(((const dal__script *)a)->version,
                                            ((const dal__script *)b)->version);
}

/* Takes "0003_add_index.sql" apart; false if the name breaks the rule. */
static bool parse_name(const char *file, dal__script *out)
{
        size_t n_digits = strspn(file, "0123456789");
        size_t n_name;
        const char *name = file + n_digits + 1;
        if (n_digits < 4 || n_digits >= sizeof out->version || file[n_digits] != '_')
                return false;
        n_name = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (n_name == 0 || n_name >= sizeof out->name || strcmp(name + n_name, ".sql") != 0)
                return false;
        memcpy(out->version, file, n_digits);
        out->version[n_digits] = '\0';
        memcpy(out->name, name, n_name);
        out->name[n_name] = '\0';
        return true;
}

static bool ends_in_sql(const char *file)
{
        size_t n = strlen(file);
        return n >= 4 && strcmp(file + n - 4, ".sql") == 0;
}

/* Formats into fresh memory; NULL when there is none. */
static char *join(const char *a, const char *b, const char *c)
{
        size_t size = strlen(a) + strlen(b) + (c ? strlen(c) + 1 : 0) + 2;
        char *out = dal_mem_alloc(size);
        if (out)
                (void)snprintf(out, size, c ? "%s/%s/%s" : "%s/%s%s", a, b, c ? c : "");
        return out;
}

/* Adds a file unless a nearer folder has the version; two of one folder are an error. */
static dal_status add_file(dal__script_list *list, uint32_t n_nearer, const char *folder, const char *file,
                           dal_error *err)
{
        dal__script script;
        void *grown;
        memset(&script, 0, sizeof script);
        if (!parse_name(file, &script))
                return dal_error_set(
                        err, DAL_CLASS_ARGUMENT,
                        "%s/%s: a script is named NNNN_name.sql: four or more digits, then a-z, 0-9 and _; "
                        "rename it",
                        folder, file);
        for (uint32_t i = 0; i < list->n_scripts; i++) {
                if (dal__script_compare_versions(list->scripts[i].version, script.version) != 0)
                        continue;
                if (i < n_nearer)
                        return DAL_OK;
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "%s and %s/%s have the same version: renumber one",
                                     list->scripts[i].path, folder, file);
        }
        grown = dal_mem_resize(list->scripts, (size_t)list->n_scripts + 1, sizeof script);
        if (!grown)
                return fail_memory(err);
        list->scripts = grown;
        script.path = join(folder, file, NULL);
        if (!script.path)
                return fail_memory(err);
        list->scripts[list->n_scripts++] = script;
        return DAL_OK;
}

static dal_status scan_folder(dal__script_list *list, const char *folder, bool *found, dal_error *err)
{
        dal_status status = DAL_OK;
        uint32_t n_nearer = list->n_scripts;
        DIR *dir = opendir(folder);
        const struct dirent *entry;
        if (!dir && (errno == ENOENT || errno == ENOTDIR))
                return DAL_OK;
        if (!dir)
                return dal_error_set(err, DAL_CLASS_ARGUMENT, "can't read the folder %s: error %d of opendir",
                                     folder, errno);
        *found = true;
        while (status == DAL_OK && (entry = readdir(dir)) != NULL)
                if (entry->d_name[0] != '.' && ends_in_sql(entry->d_name))
                        status = add_file(list, n_nearer, folder, entry->d_name, err);
        (void)closedir(dir);
        return status;
}

static dal_status fail_place(const char *folder, const char *file, dal_error *err)
{
        static const char known[] =
#define DIALECT_NAME(name, parent) " " #name
                DAL_DIALECT_LIST(DIALECT_NAME);
#undef DIALECT_NAME
        return dal_error_set(err, DAL_CLASS_ARGUMENT,
                             "%s/%s would never be applied: scripts belong in a folder of the area that is "
                             "named by a dialect, one of:%s",
                             folder, file, known);
}

static bool is_dialect(const char *name)
{
#define IS_DIALECT(dialect, parent) strcmp(name, #dialect) == 0 ||
        return DAL_DIALECT_LIST(IS_DIALECT) false;
#undef IS_DIALECT
}

/* Refuses the first script that stands in a folder; what is no folder, or can't be read, holds none. */
static dal_status refuse_scripts(const char *folder, dal_error *err)
{
        dal_status status = DAL_OK;
        DIR *dir = opendir(folder);
        const struct dirent *entry;
        while (dir && status == DAL_OK && (entry = readdir(dir)) != NULL)
                if (entry->d_name[0] != '.' && ends_in_sql(entry->d_name))
                        status = fail_place(folder, entry->d_name, err);
        if (dir)
                (void)closedir(dir);
        return status;
}

/* A script that a typing error hides must not be passed over in silence. */
static dal_status check_places(const char *base, dal_error *err)
{
        dal_status status = refuse_scripts(base, err);
        DIR *dir = opendir(base);
        const struct dirent *entry;
        while (dir && status == DAL_OK && (entry = readdir(dir)) != NULL) {
                char *folder;
                if (entry->d_name[0] == '.' || is_dialect(entry->d_name))
                        continue;
                folder = join(base, entry->d_name, NULL);
                status = folder ? refuse_scripts(folder, err) : fail_memory(err);
                dal_mem_free(folder);
        }
        if (dir)
                (void)closedir(dir);
        return status;
}

static dal_status scan_folders(dal__script_list *list, const char *dir, const char *area, dal_dialect dialect,
                               dal_error *err)
{
        dal_status status = DAL_OK;
        bool found = false;
        char *base = join(dir, area, NULL);
        dal_dialect at = dialect;
        if (!base)
                return fail_memory(err);
        status = check_places(base, err);
        while (status == DAL_OK) {
                char *folder = join(base, dal_stmt_dialect_name(at), NULL);
                status = folder ? scan_folder(list, folder, &found, err) : fail_memory(err);
                dal_mem_free(folder);
                if (status || at == dal_stmt_dialect_parent(at))
                        break;
                at = dal_stmt_dialect_parent(at);
        }
        if (status == DAL_OK && !found)
                status = dal_error_fail(err, DAL_ERR_NOT_FOUND,
                                        "no scripts for %s in %s: expected a folder %s/%s or %s/common",
                                        dal_stmt_dialect_name(dialect), base, base,
                                        dal_stmt_dialect_name(dialect), base);
        dal_mem_free(base);
        return status;
}

static bool is_area_name(const char *area)
{
        size_t n = strspn(area, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        return n > 0 && n <= 64 && area[n] == '\0';
}

dal_status dal__script_load(const char *dir, const char *area, dal_dialect dialect, uint32_t syntax,
                            dal__script_list *out, dal_error *err)
{
        dal_status status;
        memset(out, 0, sizeof *out);
        if (!is_area_name(area))
                return dal_error_set(err, DAL_CLASS_ARGUMENT,
                                     "\"%.80s\" is no area: an area is a folder of the schema folder, named "
                                     "with a-z, 0-9, "
                                     "_ and -, at most 64 characters",
                                     area);
        status = scan_folders(out, dir, area, dialect, err);
        if (status == DAL_OK && out->n_scripts > 0)
                qsort(out->scripts, out->n_scripts, sizeof *out->scripts, compare_scripts);
        for (uint32_t i = 0; status == DAL_OK && i < out->n_scripts; i++)
                status = load_one(&out->scripts[i], syntax, err);
        if (status)
                dal__script_free(out);
        return status;
}

void dal__script_free(dal__script_list *list)
{
        for (uint32_t i = 0; i < list->n_scripts; i++) {
                dal_mem_free(list->scripts[i].path);
                dal_mem_free(list->scripts[i].text);
                dal_mem_free(list->scripts[i].statements);
        }
        dal_mem_free(list->scripts);
        memset(list, 0, sizeof *list);
}
