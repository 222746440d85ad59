/*
 * Lines to stderr. A line is put together on the stack and leaves in one write(2), so
 * that threads need no lock and lines never mix.
 */
#include "chatmaild/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024 /* bytes, LF included; what is longer ends in "..." */

static const struct {
	const char *journal; /* syslog(3) priority, as sd-daemon(3) wants it */
	const char *word;
} prefixes[] = {
	[LOG_LEVEL_ERROR] = { "<3>", "error: " },
	[LOG_LEVEL_WARNING] = { "<4>", "warning: " },
	[LOG_LEVEL_INFO] = { "<6>", "info: " },
	[LOG_LEVEL_DEBUG] = { "<7>", "debug: " },
};

/* The one piece of global state: a thread may log while the loop sets it. */
static _Atomic enum log_level max_level = LOG_LEVEL_INFO;

/*
 * systemd.exec(5): $JOURNAL_STREAM names device and inode of the journal's socket. It
 * is inherited by children whose stderr went elsewhere, hence the comparison.
 */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
	       st.st_ino == inode;
}

/* Cut to fit before the LF, at the start of a UTF-8 sequence: journald shows a line
 * that is no UTF-8 as "blob data". */
static size_t shorten(char *line)
{
	size_t len = LOG_LINE_MAX - sizeof("...\n") + 1;

	while (((unsigned char)line[len] & 0xc0) == 0x80)
		len--;
	memcpy(line + len, "...", 3);
	return len + 3;
}

static void write_line(enum log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void write_line(enum log_level level, const char *fmt, va_list ap)
{
	const char *prefix =
	    stderr_is_journal() ? prefixes[level].journal : prefixes[level].word;
	size_t start = strlen(prefix), len;
	char line[LOG_LINE_MAX];
	int wanted;

	memcpy(line, prefix, start);
	wanted = vsnprintf(line + start, sizeof(line) - start, fmt, ap);
	if (wanted < 0)
		return;
	len = start + (size_t)wanted;
	if (len >= sizeof(line))
		len = shorten(line);
	for (size_t i = start; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < 0x20 || c == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

/* errno survives, so that a caller may log before it returns. */
static void log_line(enum log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void log_line(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;

	if (level <= max_level)
		write_line(level, fmt, ap);
	errno = saved;
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, fmt, ap);
	va_end(ap);
}

void log_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARNING, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_INFO, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_DEBUG, fmt, ap);
	va_end(ap);
}

void log_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERROR, fmt, ap);
	va_end(ap);
	exit(1);
}
