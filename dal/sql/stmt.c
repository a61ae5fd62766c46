/* SPDX-License-Identifier: MIT */
#include <dal/stmt.h>

static const char *const names[] = {
#define DIALECT_NAME(name, parent) #name,
        DAL_DIALECT_LIST(DIALECT_NAME)
#undef DIALECT_NAME
};

static const dal_dialect parents[] = {
#define DIALECT_PARENT(name, parent) DAL_DIALECT_##parent,
        DAL_DIALECT_LIST(DIALECT_PARENT)
#undef DIALECT_PARENT
};
#define N_DIALECTS (sizeof names / sizeof names[0])

static const char *own_text(const dal_stmt *stmt, dal_dialect dialect)
{
        switch (dialect) {
#define DIALECT_TEXT(name, parent)                                                                           \
        case DAL_DIALECT_##name:                                                                             \
                return stmt->name;
                DAL_DIALECT_LIST(DIALECT_TEXT)
#undef DIALECT_TEXT
        }
        return NULL;
}

const char *dal_stmt_text(const dal_stmt *stmt, dal_dialect dialect)
{
        const char *text;

        if (!stmt)
                return NULL;
        text = own_text(stmt, dialect);
        while (!text && dialect != DAL_DIALECT_common) {
                dialect = dal_stmt_dialect_parent(dialect);
                text = own_text(stmt, dialect);
        }
        return text;
}

const char *dal_stmt_dialect_name(dal_dialect dialect)
{
        return (size_t)dialect < N_DIALECTS ? names[dialect] : "?";
}

dal_dialect dal_stmt_dialect_parent(dal_dialect dialect)
{
        return (size_t)dialect < N_DIALECTS ? parents[dialect] : DAL_DIALECT_common;
}
