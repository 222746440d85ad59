/*
 * One line per thing that takes its time. On a terminal it is overwritten until the thing
 * ends; a pipe or a log gets one when it takes long, and one when it ends.
 */
#include "deploy/progress.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "deploy/text.h"

#define WIDTH_MIN 20  /* columns; narrower ones are taken for unknown */
#define WIDTH_MAX 400 /* columns */
#define DRAW_MS   80  /* between two pictures of the spinner */
#define LONG_MS                                                                        \
	2000 /* after that it is said, elsewhere than on a terminal, that it began */

#define GREEN "\033[32m"
#define RED   "\033[31m"
#define PLAIN "\033[0m"
#define CLEAR "\r\033[K"

struct progress {
	bool terminal, verbose;
	char *what;           /* NULL: nothing is open */
	bool told;            /* that it began */
	int64_t begun, drawn; /* ms */
	unsigned picture;
	char line[WIDTH_MAX * 4]; /* the last one that a command said */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool has_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDERR_FILENO) && !(no && *no);
}

static bool is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static size_t width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < WIDTH_MIN)
		return 80;
	return size.ws_col < WIDTH_MAX ? size.ws_col : WIDTH_MAX;
}

/*
 * How many bytes of text fill at most columns, a column a character. Never ends within one
 * of UTF-8.
 */
static size_t fitting(const char *text, size_t columns)
{
	size_t n = 0;

	for (size_t used = 0; text[n]; n++) {
		bool starts = ((unsigned char)text[n] & 0xc0) != 0x80;

		if (starts && used++ == columns)
			break;
	}
	return n;
}

static size_t columns_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* A copy that moves no cursor: neither by C0, nor by DEL, nor by C1 as UTF-8 has it. */
static void make_harmless(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from && n + 1 < size; from++) {
		unsigned char c = (unsigned char)*from, next = (unsigned char)from[1];

		if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			to[n++] = '?';
			from++;
		} else {
			to[n++] = span_control(*from) ? ' ' : *from;
		}
	}
	to[n] = '\0';
}

static void draw(struct progress *p)
{
	static const char pictures[] = "|/-\\";
	int64_t now = now_ms();
	size_t columns = width() - 1, used, n;
	char head[32];

	if (now - p->drawn < DRAW_MS)
		return;
	p->drawn = now;
	snprintf(head, sizeof(head), "%c %llds ", pictures[p->picture++ % 4],
	    (long long)(now - p->begun) / 1000);
	used = strlen(head);
	n = fitting(p->what, columns - used);
	used += columns_of(p->what);
	fprintf(stderr, CLEAR "%s%.*s", head, (int)n, p->what);
	if (p->line[0] && used + 10 < columns)
		fprintf(stderr, "  %.*s", (int)fitting(p->line, columns - used - 2),
		    p->line);
	fflush(stderr);
}

struct progress *progress_create(bool verbose)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->verbose = verbose;
	p->terminal = is_terminal() && !verbose;
	return p;
}

void progress_tick(struct progress *p)
{
	if (!p->what)
		return;
	if (p->terminal) {
		draw(p);
	} else if (!p->told && now_ms() - p->begun >= LONG_MS) {
		fprintf(stderr, "%s ...\n", p->what);
		p->told = true;
	}
}

void progress_begin(struct progress *p, const char *what)
{
	size_t size = strlen(what) + 1;

	progress_end(p, true, NULL);
	p->what = malloc(size);
	if (!p->what)
		abort();
	make_harmless(p->what, size, what);
	p->begun = now_ms();
	p->drawn = 0;
	p->line[0] = '\0';
	p->told = p->verbose;
	if (p->verbose)
		fprintf(stderr, "%s ...\n", p->what);
	progress_tick(p);
}

void progress_line(void *progress, const char *line)
{
	struct progress *p = progress;

	if (line) {
		make_harmless(p->line, sizeof(p->line), line);
		if (p->verbose)
			fprintf(stderr, "  %s\n", p->line);
	}
	progress_tick(p);
}

void progress_end(struct progress *p, bool good, const char *remark)
{
	bool colour = has_colour();
	int64_t tenths;

	if (!p->what)
		return;
	tenths = (now_ms() - p->begun + 50) / 100;
	fprintf(stderr, "%s%s: %s%s", p->terminal ? CLEAR : "", p->what,
	    colour ? (good ? GREEN : RED) : "",
	    remark ? remark : (good ? "done" : "failed"));
	fprintf(stderr, "%s", colour ? PLAIN : "");
	if (tenths > 0)
		fprintf(stderr, " %lld.%lld s", (long long)tenths / 10,
		    (long long)tenths % 10);
	fputc('\n', stderr);
	free(p->what);
	p->what = NULL;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	progress_end(p, true, NULL);
	free(p);
}

__attribute__((format(printf, 2, 0))) static void say_in(
    const char *colour, const char *fmt, va_list ap)
{
	bool on = colour && has_colour();
	char *text;
	int len = vasprintf(&text, fmt, ap);

	if (len < 0)
		abort();
	if (on)
		fputs(colour, stderr);
	/* Much of it is what a server said. */
	text_write_visible(stderr, span_make(text, (size_t)len), "\n\t");
	fputs(on ? PLAIN "\n" : "\n", stderr);
	free(text);
}

void say_good(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_in(GREEN, fmt, ap);
	va_end(ap);
}

void say_bad(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_in(RED, fmt, ap);
	va_end(ap);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_in(NULL, fmt, ap);
	va_end(ap);
}
