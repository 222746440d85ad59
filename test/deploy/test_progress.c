/*
 * What an operator sees, on a terminal and in a log. The clock is the test's: this file's
 * clock_gettime() stands in for libc's.
 */
#include "deploy/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "deploy/text.h"
#include "test/support.h"

static int64_t clock_ms;

int clock_gettime(clockid_t id, struct timespec *t)
{
	t->tv_sec = (time_t)(clock_ms / 1000);
	t->tv_nsec = (long)(clock_ms % 1000) * 1000000;
	return 0;
}

/* Stderr goes elsewhere between begin() and end(). */
struct screen {
	int reader, former;
};

static void redirect(struct screen *s, int writer)
{
	fflush(stderr);
	s->former = dup(STDERR_FILENO);
	assert_true(s->former >= 0);
	assert_int_equal(dup2(writer, STDERR_FILENO), STDERR_FILENO);
	close(writer);
	assert_int_equal(fcntl(s->reader, F_SETFL, O_NONBLOCK), 0);
	clock_ms = 5000000;
}

static void begin_log(struct screen *s)
{
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	s->reader = fd[0];
	redirect(s, fd[1]);
}

static void begin_terminal(struct screen *s, unsigned short columns)
{
	struct winsize size = { .ws_col = columns, .ws_row = 24 };
	struct termios mode;
	int terminal;

	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	assert_int_equal(openpty(&s->reader, &terminal, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(terminal, &mode), 0);
	cfmakeraw(&mode);
	assert_int_equal(tcsetattr(terminal, TCSANOW, &mode), 0);
	redirect(s, terminal);
}

/* What was written since; the caller's to free(). */
static char *look(struct screen *s)
{
	struct text seen = { 0 };
	char bytes[4096];
	ssize_t n;

	fflush(stderr);
	while ((n = read(s->reader, bytes, sizeof(bytes))) > 0)
		text_add_span(&seen, span_make(bytes, (size_t)n));
	return text_take(&seen);
}

static void expect(struct screen *s, const char *text)
{
	char *seen = look(s);

	/* Through the screen, as stderr is not to be seen now. */
	support_assert_span(span_of(seen), span_of(text));
	free(seen);
}

static void end(struct screen *s)
{
	fflush(stderr);
	dup2(s->former, STDERR_FILENO);
	close(s->former);
	close(s->reader);
}

static void log_lines(void **state)
{
	struct progress *p;
	struct screen s;

	begin_log(&s);
	p = progress_create(false);
	progress_begin(p, "Postfix");
	progress_line(p, "what apt says");
	clock_ms += 1999;
	progress_tick(p);
	expect(&s, "");
	progress_end(p, true, NULL);
	expect(&s, "Postfix: done 2.0 s\n");
	progress_end(p, true, NULL);

	progress_begin(p, "Dovecot\n\033[31m");
	clock_ms += 2000;
	progress_line(p, NULL);
	progress_tick(p);
	expect(&s, "Dovecot  [31m ...\n");
	clock_ms += 60000;
	progress_begin(p, "nginx");
	expect(&s, "Dovecot  [31m: done 62.0 s\n");
	progress_end(p, false, NULL);
	expect(&s, "nginx: failed\n");
	progress_begin(p, "unbound");
	clock_ms += 49;
	progress_end(p, true, "no change");
	expect(&s, "unbound: no change\n");
	progress_begin(p, "open");
	progress_free(p);
	expect(&s, "open: done\n");
	progress_free(NULL);
	say_good("good %d", 1);
	say_bad("bad");
	say("plain");
	say("%s", "two\n\tlines\r\033[2J\xc2\x9b");
	expect(&s, "good 1\nbad\nplain\n"
		   "two\n\tlines\\x0d\\x1b[2J\\xc2\\x9b\n");
	end(&s);
}

static void verbose(void **state)
{
	struct progress *p;
	struct screen s;

	begin_log(&s);
	p = progress_create(true);
	progress_begin(p, "Postfix");
	progress_line(p, "one\ttwo\r\xc2\x9bx \xc3\xa4");
	clock_ms += 5000;
	progress_tick(p);
	progress_end(p, true, NULL);
	expect(&s, "Postfix ...\n  one two ?x \xc3\xa4\nPostfix: done 5.0 s\n");
	progress_free(p);
	end(&s);
}

#define CLEAR "\r\033[K"

static void terminal(void **state)
{
	struct progress *p;
	struct screen s;

	begin_terminal(&s, 40);
	p = progress_create(false);
	progress_begin(p, "Postfix");
	expect(&s, CLEAR "| 0s Postfix");
	progress_tick(p);
	expect(&s, "");
	clock_ms += 100;
	progress_line(p, "Unpacking postfix");
	expect(&s, CLEAR "/ 0s Postfix  Unpacking postfix");
	clock_ms += 1000;
	progress_tick(p);
	expect(&s, CLEAR "- 1s Postfix  Unpacking postfix");
	progress_end(p, true, NULL);
	expect(&s, CLEAR "Postfix: \033[32mdone\033[0m 1.1 s\n");
	progress_begin(p, "Dovecot");
	expect(&s, CLEAR "\\ 0s Dovecot");
	progress_end(p, false, "apt-get failed");
	expect(&s, CLEAR "Dovecot: \033[31mapt-get failed\033[0m\n");
	say_good("good");
	say_bad("bad");
	expect(&s, "\033[32mgood\033[0m\n\033[31mbad\033[0m\n");
	progress_free(p);
	end(&s);
}

/* Nothing wraps, however long, and no letter is cut in two. */
static const struct width_case {
	const char *name;
	unsigned short columns;
	const char *what, *line, *drawn;
} width_cases[] = {
	{ "fits", 30, "Postfix", "1234567890", "| 0s Postfix  1234567890" },
	{ "line is cut", 30, "Postfix", "12345678901234567890",
	    "| 0s Postfix  123456789012345" },
	{ "no room for a line", 24, "A longer thing", "12345678901234567890",
	    "| 0s A longer thing" },
	{ "thing is cut", 20, "A thing longer than that", "x", "| 0s A thing longer" },
	{ "letters of two bytes", 30, "Postfix",
	    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
	    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
	    "| 0s Postfix  "
	    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
	    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4" },
	{ "cursor stays", 40, "Postfix", "a\nb\rc\033[Ad\x7f",
	    "| 0s Postfix  a b c [Ad " },
	{ "width unknown", 0, "Postfix", "x", "| 0s Postfix  x" },
};

static void width(void **state)
{
	const struct width_case *c = *state;
	struct text drawn = { 0 };
	struct progress *p;
	struct screen s;

	begin_terminal(&s, c->columns);
	p = progress_create(false);
	progress_begin(p, c->what);
	free(look(&s));
	clock_ms += 400;
	for (int i = 0; i < 3; i++) {
		progress_tick(p);
		clock_ms += 100;
	}
	free(look(&s));
	progress_line(p, c->line);
	text_printf(&drawn, CLEAR "%s", c->drawn);
	drawn.data[strlen(CLEAR)] = '|';
	expect(&s, drawn.data);
	progress_free(p);
	text_free(&drawn);
	end(&s);
}

static void no_colour(void **state)
{
	struct screen s;

	begin_terminal(&s, 80);
	setenv("NO_COLOR", "1", 1);
	say_bad("bad");
	expect(&s, "bad\n");
	setenv("NO_COLOR", "", 1);
	say_bad("bad");
	expect(&s, "\033[31mbad\033[0m\n");
	end(&s);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(log_lines) },
		{ SUPPORT_TEST(verbose) },
		{ SUPPORT_TEST(terminal) },
		{ SUPPORT_TABLE(width, width_cases) },
		{ SUPPORT_TEST(no_colour) },
	};

	return support_run("progress", tests, ARRAY_LEN(tests));
}
