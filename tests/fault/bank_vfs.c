/* SPDX-License-Identifier: MIT */
/*
 * A file system that fails: it stands between SQLite and the real one, and now and then an operation's
 * read, write or sync fails, or the whole process dies in the middle of it. Nothing is really flushed: a
 * process that dies loses nothing that it wrote, and only a power cut would.
 */

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "bank.h"
#include "bank_vfs.h"

enum {
        MAX_GAP = 160 /* calls of the file system between two faults of a process */
};

struct file {
        sqlite3_file base;
        sqlite3_file *real;
};

static struct {
        pthread_mutex_t lock;
        struct bank_shared *shared;
        uint64_t random;
        uint32_t countdown;
        enum bank_vfs_fault due;
        sqlite3_vfs vfs, *real;
} system_of_files = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool in_operation;

void bank_vfs_enter(bool is_in)
{
        in_operation = is_in;
}

static void choose_next(void)
{
        system_of_files.due = (enum bank_vfs_fault)proxy_random(&system_of_files.random, VFS_NONE);
        system_of_files.countdown = proxy_random(&system_of_files.random, MAX_GAP);
}

static bool take_one_wanted(void)
{
        _Atomic uint32_t *wanted = &system_of_files.shared->vfs_wanted;
        uint32_t n = atomic_load(wanted);

        while (n > 0 && !atomic_compare_exchange_weak(wanted, &n, n - 1))
                ;
        return n > 0;
}

/*
 * Which of the faults in `set`, if any, strikes this call. The one that is due waits for a call that it
 * suits.
 */
static enum bank_vfs_fault strike(unsigned set)
{
        enum bank_vfs_fault fault = VFS_NONE;

        if (!in_operation)
                return VFS_NONE;
        pthread_mutex_lock(&system_of_files.lock);
        if (system_of_files.countdown > 0) {
                system_of_files.countdown--;
        } else if (set & 1u << system_of_files.due && take_one_wanted()) {
                fault = system_of_files.due;
                choose_next();
        }
        pthread_mutex_unlock(&system_of_files.lock);
        if (fault != VFS_NONE)
                atomic_fetch_add(&system_of_files.shared->vfs_struck[fault], 1);
        return fault;
}

static void die(void)
{
        raise(SIGKILL);
}

static sqlite3_file *real_of(sqlite3_file *file)
{
        return ((struct file *)file)->real;
}

#define REAL(file) real_of(file)->pMethods

static int x_close(sqlite3_file *f)
{
        return REAL(f)->xClose(real_of(f));
}

static int x_read(sqlite3_file *f, void *bytes, int n, sqlite3_int64 at)
{
        if (strike(1u << VFS_READ_FAILS) == VFS_READ_FAILS)
                return SQLITE_IOERR_READ;
        return REAL(f)->xRead(real_of(f), bytes, n, at);
}

static int x_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
        int half = n / 2, rc;

        switch (strike(1u << VFS_WRITE_FAILS | 1u << VFS_DISK_FULL | 1u << VFS_WRITE_TORN |
                       1u << VFS_DIES_WRITING)) {
        case VFS_WRITE_FAILS:
                return SQLITE_IOERR_WRITE;
        case VFS_DISK_FULL:
                return SQLITE_FULL;
        case VFS_WRITE_TORN:
                rc = REAL(f)->xWrite(real_of(f), bytes, half, at);
                return rc ? rc : SQLITE_IOERR_WRITE;
        case VFS_DIES_WRITING:
                (void)REAL(f)->xWrite(real_of(f), bytes, half, at);
                die();
                return SQLITE_IOERR_WRITE;
        default:
                return REAL(f)->xWrite(real_of(f), bytes, n, at);
        }
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        return REAL(f)->xTruncate(real_of(f), size);
}

static int x_sync(sqlite3_file *f, int flags)
{
        (void)f;
        (void)flags;
        switch (strike(1u << VFS_SYNC_FAILS | 1u << VFS_DIES_SYNCING)) {
        case VFS_SYNC_FAILS:
                return SQLITE_IOERR_FSYNC;
        case VFS_DIES_SYNCING:
                die();
                return SQLITE_IOERR_FSYNC;
        default:
                return SQLITE_OK;
        }
}

static int x_file_size(sqlite3_file *f, sqlite3_int64 *size_out)
{
        return REAL(f)->xFileSize(real_of(f), size_out);
}

static int x_lock(sqlite3_file *f, int level)
{
        return REAL(f)->xLock(real_of(f), level);
}

static int x_unlock(sqlite3_file *f, int level)
{
        return REAL(f)->xUnlock(real_of(f), level);
}

static int x_check_reserved(sqlite3_file *f, int *out)
{
        return REAL(f)->xCheckReservedLock(real_of(f), out);
}

static int x_file_control(sqlite3_file *f, int what, void *arg)
{
        return REAL(f)->xFileControl(real_of(f), what, arg);
}

static int x_sector_size(sqlite3_file *f)
{
        return REAL(f)->xSectorSize(real_of(f));
}

static int x_characteristics(sqlite3_file *f)
{
        return REAL(f)->xDeviceCharacteristics(real_of(f));
}

static int x_shm_map(sqlite3_file *f, int i, int size, int extend, void volatile **out)
{
        return REAL(f)->xShmMap(real_of(f), i, size, extend, out);
}

static int x_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
        return REAL(f)->xShmLock(real_of(f), at, n, flags);
}

static void x_shm_barrier(sqlite3_file *f)
{
        REAL(f)->xShmBarrier(real_of(f));
}

static int x_shm_unmap(sqlite3_file *f, int delete_it)
{
        return REAL(f)->xShmUnmap(real_of(f), delete_it);
}

/* Version 2: without the calls that map the file into memory, past which nothing could be struck. */
static const sqlite3_io_methods methods = {
        2,
        x_close,
        x_read,
        x_write,
        x_truncate,
        x_sync,
        x_file_size,
        x_lock,
        x_unlock,
        x_check_reserved,
        x_file_control,
        x_sector_size,
        x_characteristics,
        x_shm_map,
        x_shm_lock,
        x_shm_barrier,
        x_shm_unmap,
        NULL,
        NULL,
};

static int x_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flags_out)
{
        struct file *f = (struct file *)file;
        int rc;

        (void)vfs;
        f->real = (sqlite3_file *)(f + 1);
        f->base.pMethods = NULL;
        rc = system_of_files.real->xOpen(system_of_files.real, name, f->real, flags, flags_out);
        if (f->real->pMethods)
                f->base.pMethods = &methods;
        return rc;
}

bool bank_vfs_register(struct bank_shared *shared, uint64_t seed)
{
        sqlite3_vfs *real = sqlite3_vfs_find(NULL);

        if (!real)
                return false;
        system_of_files.shared = shared;
        system_of_files.random = seed * 2 + 1;
        choose_next();
        system_of_files.real = real;
        /*
         * Everything but opening is the real one's own, and takes its own `pAppData` from what it is
         * handed.
         */
        system_of_files.vfs = *real;
        system_of_files.vfs.pNext = NULL;
        system_of_files.vfs.zName = "bank";
        system_of_files.vfs.szOsFile = (int)sizeof(struct file) + real->szOsFile;
        system_of_files.vfs.xOpen = x_open;
        return sqlite3_vfs_register(&system_of_files.vfs, 1) == SQLITE_OK;
}
