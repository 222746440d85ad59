/* What chatmailctl's commands share for the terminal. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/ctl.h"

void ctl_error(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fputs("chatmailctl: ", stderr);
	ctl_put(stderr, text);
	fputc('\n', stderr);
}

void ctl_put(FILE *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		fputc(c < ' ' || c == 0x7f ? '?' : c, out);
	}
}

void ctl_put_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT);
	putchar('\n');
}

const char *ctl_size(char buf[CTL_WORDS_MAX], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, CTL_WORDS_MAX, "%u B", (unsigned)bytes);
		return buf;
	}
	for (; size >= 1024 && unit < 3; unit++)
		size /= 1024;
	snprintf(buf, CTL_WORDS_MAX, "%.1f %s", size, units[unit]);
	return buf;
}

/* Last logins are days of UTC. */
const char *ctl_day(char buf[CTL_WORDS_MAX], int64_t seconds)
{
	time_t t = seconds;
	struct tm tm;

	if (seconds == 0 || !gmtime_r(&t, &tm) ||
	    strftime(buf, CTL_WORDS_MAX, "%Y-%m-%d", &tm) == 0)
		snprintf(buf, CTL_WORDS_MAX, "never");
	return buf;
}

const char *ctl_span(char buf[CTL_WORDS_MAX], int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" },
		{ 1, "second" } };
	size_t i = 0;
	int64_t n;

	if (seconds < 0)
		seconds = 0;
	while (i < 3 && seconds < units[i].seconds)
		i++;
	n = seconds / units[i].seconds;
	snprintf(buf, CTL_WORDS_MAX, "%" PRId64 " %s%s", n, units[i].name,
	    n == 1 ? "" : "s");
	return buf;
}

int64_t ctl_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

const char *ctl_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

bool ctl_confirm(const struct ctl *c, const char *fmt, ...)
{
	char answer[16];
	va_list ap;

	if (c->yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		ctl_error("this deletes; without a terminal to ask on, say --yes");
		return false;
	}
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" [y/N] ", stderr);
	if (fgets(answer, sizeof(answer), stdin) &&
	    (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	fputs("Nothing was done.\n", stderr);
	return false;
}
