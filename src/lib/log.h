/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - messages to stderr in one shape: "COMMAND: text". Only commands and main
 * use anything above LOG_DEBUG; rooms return errors, they do not report them.
 */
#ifndef MEMTALLY_LOG_H
#define MEMTALLY_LOG_H

#include "lib/lib.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_VERBOSE, LOG_DEBUG };

/* prefix: name of the running command, a string that outlives the program. */
void log_init(const char *prefix, enum log_level level);
enum log_level log_level(void);
void log_msg(enum log_level level, const char *fmt, ...) _printf_(2, 3);

#define log_error(...)	 log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)	 log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)	 log_msg(LOG_INFO, __VA_ARGS__)
#define log_verbose(...) log_msg(LOG_VERBOSE, __VA_ARGS__)
#define log_debug(...)	 log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
