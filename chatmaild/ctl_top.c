/*
 * chatmailctl top: what the relay does, drawn anew each second. The numbers are those of
 * the daemon's metrics; pages of the last minute are kept to tell how fast they grow. A daemon
 * that goes is waited for.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/ctl.h"
#include "chatmaild/ctl_samples.h"

#define PAGES        61 /* one a second: now, and a minute back */
#define REASONS_MAX  64
#define REASON_WIDTH 28
#define INTERVAL_MS  1000

#define ESCAPE_BEGIN "\033[?1049h\033[?25l" /* another screen, no cursor */
#define ESCAPE_END   "\033[?25h\033[?1049l"
#define ESCAPE_HOME  "\033[H"
#define ESCAPE_EOL   "\033[K\r\n"
#define ESCAPE_REST  "\033[J"

struct top {
	struct ctl *ctl;
	struct ctl_link *link; /* NULL: there is none just now */
	time_t gone;           /* since then the daemon does not answer; 0: it does */
	char *page[PAGES];     /* [0] is the newest; NULL: not so long ago */
	const char *domain;
	int signals; /* descriptor */
	struct termios before;
};

/* Lines of one picture, no more and no longer than the terminal's. */
struct picture {
	FILE *out;
	int rows, columns;
};

__attribute__((format(printf, 2, 3))) static void put_line(
    struct picture *p, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (p->rows <= 1)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(p->out, "%.*s" ESCAPE_EOL, p->columns, text);
	p->rows--;
}

/* --- rates --------------------------------------------------------------------------- */

static const struct rate {
	const char *title, *name, *label;
} rates[] = {
	{ "logins", "chatmail_logins_total", NULL },
	{ "accounts made", "chatmail_accounts_created_total", NULL },
	{ "mail out", "chatmail_filter_mails_total", "direction=\"outgoing\"" },
	{ "mail in", "chatmail_filter_mails_total", "direction=\"incoming\"" },
	{ "messages delivered", "chatmail_messages_new_total", NULL },
	{ "notifications sent", "chatmail_push_total", "result=\"sent\"" },
	{ "  failed tries", "chatmail_push_total", "result=\"failed\"" },
};

static const char *oldest(const struct top *t, int *seconds)
{
	int i = PAGES - 1;

	while (i > 0 && !t->page[i])
		i--;
	*seconds = i > 0 ? i : 1;
	return t->page[i];
}

/* A counter that went back was that of a daemon before this one. */
static double grown(double now, double before)
{
	return now < before ? now : now - before;
}

static void put_rates(const struct top *t, struct picture *p)
{
	int seconds;
	const char *then = oldest(t, &seconds);

	put_line(p, "%-22s %12s %12s %12s", "", "each second", "each minute", "in all");
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct rate *r = &rates[i];
		double all = samples_sum(t->page[0], r->name, r->label);
		double last =
		    t->page[1] ? samples_sum(t->page[1], r->name, r->label) : all;
		double minute = samples_sum(then, r->name, r->label);

		put_line(p, "%-22s %12.0f %12.0f %12.0f", r->title, grown(all, last),
		    grown(all, minute) * 60 / seconds, all);
	}
}

/* --- refusals ------------------------------------------------------------------------ */

struct reason {
	char text[REASON_WIDTH + 1];
	const char *what; /* is refused */
	double minute, all;
};

static bool passes(struct span verdict)
{
	return span_is(verdict, "encrypted") || span_is(verdict, "bounce") ||
	       span_is(verdict, "allowed");
}

/* The reason why this sample counts something refused; empty if it does not. */
static struct span refusal(const struct sample *s, const char **what)
{
	struct span verdict = sample_label(s, "verdict");

	*what = "account";
	if (span_is(s->name, "chatmail_accounts_refused_total"))
		return sample_label(s, "reason");
	*what =
	    span_is(sample_label(s, "direction"), "incoming") ? "mail in" : "mail out";
	if (span_is(s->name, "chatmail_filter_refused_total"))
		return sample_label(s, "reason");
	if (span_is(s->name, "chatmail_filter_mails_total") && !passes(verdict))
		return verdict;
	return span_make("", 0);
}

static size_t find_reason(
    struct reason *r, size_t n, struct span text, const char *what)
{
	size_t i = 0, len = text.len < REASON_WIDTH ? text.len : REASON_WIDTH;

	while (i < n && (r[i].what != what || strlen(r[i].text) != len ||
			    memcmp(r[i].text, text.data, len) != 0))
		i++;
	if (i == n && n < REASONS_MAX) {
		r[i] = (struct reason){ .what = what };
		memcpy(r[i].text, text.data, len);
	}
	return i;
}

static size_t add_reasons(struct reason *r, size_t n, const char *page, bool now)
{
	struct sample s;

	while (sample_next(&page, &s)) {
		const char *what;
		struct span text = refusal(&s, &what);
		size_t i;

		if (text.len == 0 || s.value == 0)
			continue;
		i = find_reason(r, n, text, what);
		if (i == REASONS_MAX)
			continue;
		if (i == n)
			n++;
		if (now)
			r[i].all += s.value;
		else
			r[i].minute += s.value; /* what was there a minute ago */
	}
	return n;
}

static int by_recent(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	if (x->minute != y->minute)
		return x->minute > y->minute ? -1 : 1;
	return x->all > y->all ? -1 : x->all < y->all;
}

static void put_refusals(const struct top *t, struct picture *p)
{
	struct reason r[REASONS_MAX];
	int seconds;
	const char *then = oldest(t, &seconds);
	size_t n = add_reasons(r, 0, t->page[0], true);

	n = add_reasons(r, n, then, false);
	for (size_t i = 0; i < n; i++)
		r[i].minute = grown(r[i].all, r[i].minute) * 60 / seconds;
	qsort(r, n, sizeof(r[0]), by_recent);
	put_line(p, "%s", "");
	put_line(p, n > 0 ? "refused" : "nothing was refused");
	for (size_t i = 0; i < n; i++)
		put_line(p, "  %-8s  %-*s %9.0f %12.0f", r[i].what, REASON_WIDTH - 4,
		    r[i].text, r[i].minute, r[i].all);
}

/* --- latencies ----------------------------------------------------------------------- */

static const struct latency {
	const char *title, *family, *label;
} latencies[] = {
	{ "lookup", "chatmail_lookup_seconds", "service=\"auth\"" },
	{ "new account", "chatmail_creation_seconds", NULL },
	{ "small mail", "chatmail_filter_seconds", "size=\"small\"" },
	{ "any mail", "chatmail_filter_seconds", NULL },
	{ "re-injection", "chatmail_reinjection_seconds", NULL },
	{ "notification", "chatmail_push_seconds", NULL },
};

static const char *milliseconds(char buf[CTL_WORDS_MAX], double seconds)
{
	if (seconds < 0)
		snprintf(buf, CTL_WORDS_MAX, "-");
	else
		snprintf(buf, CTL_WORDS_MAX, seconds < 0.01 ? "%.2f" : "%.0f",
		    seconds * 1000);
	return buf;
}

static void put_latencies(const struct top *t, struct picture *p)
{
	int seconds;
	const char *then = oldest(t, &seconds);

	put_line(p, "%s", "");
	put_line(p, "%-22s %12s %12s %12s", "milliseconds", "half below", "95 % below",
	    "99 % below");
	for (size_t i = 0; i < sizeof(latencies) / sizeof(latencies[0]); i++) {
		const struct latency *l = &latencies[i];
		const char *before = then == t->page[0] ? NULL : then;
		char a[CTL_WORDS_MAX], b[CTL_WORDS_MAX], c[CTL_WORDS_MAX];

		put_line(p, "%-22s %12s %12s %12s", l->title,
		    milliseconds(a,
			samples_quantile(t->page[0], before, l->family, l->label, 0.5)),
		    milliseconds(b, samples_quantile(
					t->page[0], before, l->family, l->label, 0.95)),
		    milliseconds(c, samples_quantile(t->page[0], before, l->family,
					l->label, 0.99)));
	}
}

/* --- the picture --------------------------------------------------------------------- */

static const char *clock_time(char buf[CTL_WORDS_MAX], time_t when)
{
	struct tm tm;

	if (!localtime_r(&when, &tm) || !strftime(buf, CTL_WORDS_MAX, "%H:%M:%S", &tm))
		buf[0] = '\0';
	return buf;
}

static void put_first_line(const struct top *t, struct picture *p)
{
	char clock[CTL_WORDS_MAX], up[CTL_WORDS_MAX], size[CTL_WORDS_MAX];
	const char *page = t->page[0];
	time_t now = time(NULL);

	if (t->gone)
		put_line(p,
		    "%s  chatmaild does not answer since %s; systemctl start chatmaild "
		    " "
		    "(q quits)",
		    t->domain, clock_time(clock, t->gone));
	else
		put_line(p, "%s  %s  up %s  %s of memory  (q quits)", t->domain,
		    clock_time(clock, now),
		    ctl_span(up, now - (int64_t)samples_sum(
					   page, "chatmail_start_time_seconds", NULL)),
		    ctl_size(size, (uint64_t)samples_sum(
				       page, "chatmail_resident_memory_bytes", NULL)));
}

static void put_head(const struct top *t, struct picture *p)
{
	const char *page = t->page[0];

	put_first_line(t, p);
	put_line(p,
	    "%.0f accounts  %.0f connections  %.0f notifications waiting  slowest turn "
	    "%.1f ms",
	    samples_sum(page, "chatmail_accounts", "kind=\"all\""),
	    samples_sum(page, "chatmail_connections", NULL),
	    samples_sum(page, "chatmail_push_waiting", NULL),
	    samples_sum(page, "chatmail_loop_stall_seconds", NULL) * 1000);
	put_line(p, "%s", "");
}

static void draw(const struct top *t)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct picture p = { .out = stdout };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	p.rows = size.ws_row > 0 ? size.ws_row : 24;
	p.columns = size.ws_col > 0 ? size.ws_col : 80;
	fputs(ESCAPE_HOME, stdout);
	put_head(t, &p);
	put_rates(t, &p);
	put_latencies(t, &p);
	put_refusals(t, &p);
	fputs(ESCAPE_REST, stdout);
	fflush(stdout);
}

static json_t *request(void)
{
	return json_pack("{s:s}", "command", "metrics");
}

static void forget_pages(struct top *t)
{
	for (size_t i = 0; i < PAGES; i++) {
		free(t->page[i]);
		t->page[i] = NULL;
	}
}

/* Takes reply. */
static void keep_page(struct top *t, json_t *reply)
{
	free(t->page[PAGES - 1]);
	memmove(&t->page[1], &t->page[0], (PAGES - 1) * sizeof(t->page[0]));
	t->page[0] = strdup(ctl_text(reply, "metrics"));
	if (!t->page[0])
		abort();
	json_decref(reply);
}

static bool ask(struct top *t, json_t **reply)
{
	if (!t->link) {
		t->link = ctl_link_open(t->ctl, false);
		if (!t->link)
			return false;
		ctl_link_hush(t->link);
	}
	if (ctl_link_ask(t->link, request(), NULL, NULL, reply) == CTL_OK)
		return true;
	ctl_link_close(t->link);
	t->link = NULL;
	return false;
}

/* Have a new page. Of a time without one it is not known what went on. */
static void look(struct top *t)
{
	json_t *reply;

	if (!ask(t, &reply)) {
		if (!t->gone)
			t->gone = time(NULL);
		return;
	}
	if (t->gone)
		forget_pages(t);
	t->gone = 0;
	keep_page(t, reply);
}

/* --- the terminal -------------------------------------------------------------------- */

static void terminal_begin(struct top *t)
{
	struct termios raw;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC);
	tcgetattr(STDIN_FILENO, &t->before);
	raw = t->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs(ESCAPE_BEGIN, stdout);
}

static void terminal_end(struct top *t)
{
	fputs(ESCAPE_END, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
	close(t->signals);
}

static int64_t monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Seconds that a daemon did not answer in are not made up for. */
static int64_t next_second(int64_t last)
{
	int64_t next = last + INTERVAL_MS, now = monotonic_ms();

	return next > now ? next : now + INTERVAL_MS;
}

/* Wait until next; true if the user, or whoever sends signals, has enough. */
static bool wait_until(struct top *t, int64_t next)
{
	struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 },
		{ t->signals, POLLIN, 0 } };
	struct signalfd_siginfo info;
	int64_t left;

	while ((left = next - monotonic_ms()) > 0) {
		char key;

		if (poll(fds, 2, (int)left) <= 0)
			continue;
		if (fds[0].revents &&
		    (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
			return true;
		if (!fds[1].revents || read(t->signals, &info, sizeof(info)) < 0)
			continue;
		if (info.ssi_signo != SIGWINCH)
			return true;
		draw(t);
	}
	return false;
}

enum ctl_exit ctl_top(struct ctl *c)
{
	struct top t = { .ctl = c };
	int64_t next = monotonic_ms();
	json_t *reply;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		ctl_error("top draws on a terminal, and there is none");
		return CTL_FAILED;
	}
	t.domain = ctl_config(c)->mail_domain;
	if (ctl_ask(c, request(), NULL, NULL, &reply) != CTL_OK)
		return CTL_FAILED;
	keep_page(&t, reply);
	terminal_begin(&t);
	draw(&t);
	while (!wait_until(&t, next = next_second(next))) {
		look(&t);
		draw(&t);
	}
	terminal_end(&t);
	forget_pages(&t);
	ctl_link_close(t.link);
	return CTL_OK;
}
