/* SPDX-License-Identifier: MIT */
#ifndef FAULT_BANK_VFS_H
#define FAULT_BANK_VFS_H

/* X(name, words): what SQLite's file system does to an operation. */
#define BANK_VFS_LIST(X)                                                                                     \
        X(WRITE_FAILS, "write fails")                                                                        \
        X(DISK_FULL, "disk full")                                                                            \
        X(WRITE_TORN, "half a write, then failure")                                                          \
        X(SYNC_FAILS, "sync fails")                                                                          \
        X(READ_FAILS, "read fails")                                                                          \
        X(DIES_WRITING, "process dies (-9) in a write")                                                      \
        X(DIES_SYNCING, "process dies (-9) in a sync")

enum bank_vfs_fault {
#define BANK_VFS_ENUM(name, words) VFS_##name,
        BANK_VFS_LIST(BANK_VFS_ENUM)
#undef BANK_VFS_ENUM
        VFS_NONE
};

#endif
