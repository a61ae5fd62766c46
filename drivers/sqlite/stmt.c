/* SPDX-License-Identifier: MIT */
typedef int dal__not_written_yet;
