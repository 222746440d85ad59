/*
 * Lines for the operator, to stderr: with journald's "<6>" priorities when stderr is the
 * journal, with the level in words when it is a terminal or a file. One line each, control
 * bytes shown as '?'. Usable from any thread.
 *
 * No mail address, device token or password above debug level; passwords at no level. The
 * one exception is the line "Created address: ADDR", which mtail counts.
 */
#ifndef CHATMAILD_LOG_H
#define CHATMAILD_LOG_H

enum log_level {
	LOG_LEVEL_ERROR,   /* someone must act */
	LOG_LEVEL_WARNING, /* the world failed us, we go on */
	LOG_LEVEL_INFO,    /* what happened, once a connection at most */
	LOG_LEVEL_DEBUG,
};

/* Lines above level are dropped. Called at start; before it, INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Start-up only: one line that says what to change, then exit(1). */
void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
