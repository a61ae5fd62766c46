/* SPDX-License-Identifier: MIT */
#ifndef DAL_MACROS_H
#define DAL_MACROS_H

/* Compiler help shared by the public headers; nothing here is meant for callers. */

#ifdef __cplusplus
#define DAL_BEGIN_DECLS extern "C" {
#define DAL_END_DECLS   }
#else
#define DAL_BEGIN_DECLS
#define DAL_END_DECLS
#endif

#if defined(__GNUC__)
#define DAL_NODISCARD    __attribute__((warn_unused_result))
#define DAL_PRINTF(f, a) __attribute__((format(printf, f, a)))
/* Rarely called: kept apart, so that the everyday way past it saves no registers for its sake. */
#define DAL_COLD     __attribute__((cold, noinline))
#define DAL_NOINLINE __attribute__((noinline))
/* On the way of every statement: put in where it is called, also where that makes the caller long. */
#define DAL_HOT inline __attribute__((always_inline))
#else
#define DAL_HOT inline
#define DAL_COLD
#define DAL_NOINLINE
#define DAL_NODISCARD
#define DAL_PRINTF(f, a)
#endif

#define DAL_STRINGIZE_(x) #x
#define DAL_STRINGIZE(x)  DAL_STRINGIZE_(x)
/* Where a lease or a transaction began: a static string such as "order.c:42". */
#ifdef __FILE_NAME__ /* without the folders: GCC 12, clang 9 */
#define DAL_HERE __FILE_NAME__ ":" DAL_STRINGIZE(__LINE__)
#else
#define DAL_HERE __FILE__ ":" DAL_STRINGIZE(__LINE__)
#endif

#endif
