/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS and MADV_WIPEONFORK are not in POSIX */
#include "conn/pool_state.h"

#include <sys/mman.h>
#include <unistd.h>

/*
 * After fork() parent and child share every socket. If the child used or even closed a connection in good manners,
 * it would speak in the middle of the parent's conversation. So a child must leave the pool alone, and must be told.
 * Comparing process numbers costs a system call each time; a page that the kernel empties in the child costs a read.
 */
bool dal__pool_mark_process(dal_pool *pool)
{
        pool->pid = getpid();
#ifdef MADV_WIPEONFORK
        /* Source: madvise(2), Linux 4.14; older kernels answer EINVAL */
        size_t size = (size_t)sysconf(_SC_PAGESIZE);
        void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED)
                return false;
        if (madvise(page, size, MADV_WIPEONFORK) != 0) {
                (void)munmap(page, size);
                return true;
        }
        pool->fork_mark = page;
        *pool->fork_mark = 1;
#endif
        return true;
}

void dal__pool_unmark_process(dal_pool *pool)
{
        if (pool->fork_mark)
                (void)munmap((void *)(uintptr_t)pool->fork_mark, (size_t)sysconf(_SC_PAGESIZE));
        pool->fork_mark = NULL;
}

bool dal__pool_has_other_pid(const dal_pool *pool)
{
        return getpid() != pool->pid;
}
