/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS and MADV_WIPEONFORK are not in POSIX */
#include "conn/conn_state.h"

#include <sys/mman.h>
#include <unistd.h>

/*
 * After fork() parent and child share every socket. If the child used or even closed a connection in good manners,
 * it would speak in the middle of the parent's conversation; if it read, the parent would miss what it took. So a child
 * must leave both connections and pools alone, and must be told.
 * Comparing process numbers costs a system call each time; a page that the kernel empties in the child costs a read.
 */
bool dal__conn_mark_process(dal__conn_process *process)
{
        process->pid = getpid();
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
        process->mark = page;
        *process->mark = 1;
#endif
        return true;
}

void dal__conn_unmark_process(dal__conn_process *process)
{
        if (process->mark)
                (void)munmap((void *)(uintptr_t)process->mark, (size_t)sysconf(_SC_PAGESIZE));
        process->mark = NULL;
}

void dal__conn_set_process(dal_conn *conn, const dal__conn_process *process)
{
        static const char is_ours = 1, ask_the_system = 0;

        conn->process = process;
        if (!process)
                conn->mark = &is_ours;
        else
                conn->mark = process->mark ? process->mark : &ask_the_system;
}

bool dal__conn_is_of_parent(const dal_conn *conn)
{
        return dal__conn_is_forked(conn);
}

bool dal__conn_has_other_pid(const dal__conn_process *process)
{
        return getpid() != process->pid;
}
