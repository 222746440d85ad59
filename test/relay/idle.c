#include "test/relay/idle.h"
#include "deploy/mail.h"

#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "test/support.h"

#define IMAP_TITLE "dovecot/imap ["

const char *idle_built_plugin(void)
{
	static char path[PATH_MAX];
	const char *build = getenv("CHATMAIL_BUILD");

	snprintf(path, sizeof(path), "%s/chatmaild/dovecot/" IDLE_PLUGIN,
	    build ? build : "");
	return path;
}

int idle_relay_up(struct private_relay *r)
{
	if (!private_possible())
		return PRIVATE_SKIPPED;
	if (access(idle_built_plugin(), R_OK) < 0) {
		fputs("needs the plugin, which is built with dovecot-dev\n", stderr);
		return PRIVATE_SKIPPED;
	}
	private_up(r, "");
	idle_configure(r, "verbose_proctitle = yes\n"); /* for idle_process() */
	return 0;
}

void idle_configure(const struct private_relay *r, const char *text)
{
	FILE *file = fopen(idle_path(r, "etc/dovecot/dovecot.conf"), "ae");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		err(EXIT_FAILURE, "dovecot.conf");
	private_part(r, "stop", "dovecot");
	private_part(r, "start", "dovecot");
}

const char *idle_path(const struct private_relay *r, const char *format, ...)
{
	static char path[2][PATH_MAX];
	static unsigned turn;
	char *text = path[++turn % 2];
	int len = snprintf(text, PATH_MAX, "%s/", r->dir);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + len, PATH_MAX - (size_t)len, format, ap);
	va_end(ap);
	return text;
}

int64_t idle_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct client *idle_open_lmtp(const struct private_relay *r)
{
	struct client *c = lmtp_open(idle_path(r, "spool/private/dovecot-lmtp"));

	assert_non_null(c);
	return c;
}

void idle_deliver(struct client *lmtp, const char *to)
{
	const struct mail m = { "sender@remote.example", to, "[...]", "idle" };
	size_t len;
	char *text = mail_encrypted(&m, SMALL, &len);

	assert_int_equal(smtp_send(lmtp, m.from, to, text, len), 250);
	free(text);
}

struct client *idle_open(const struct private_relay *r, const char *address)
{
	struct client *c = open_inbox(r, address);

	assert_true(imap_idle(c));
	return c;
}

void idle_assert_told(struct client *c, const char *end)
{
	const char *line;

	while ((line = imap_told(c))) {
		size_t len = strlen(line);

		if (len >= strlen(end) && strcmp(line + len - strlen(end), end) == 0)
			return;
	}
	fail_msg("was not told \"%s\"", end);
}

void idle_assert_told_count(struct client *c, int count)
{
	char line[32];

	snprintf(line, sizeof(line), "* %d EXISTS", count);
	idle_assert_told(c, line);
}

int64_t idle_fastest_ms(const struct private_relay *r, struct client *c,
    const char *address, int first, int last)
{
	struct client *lmtp = idle_open_lmtp(r);
	int64_t fastest = INT64_MAX;

	for (int n = first; n <= last; n++) {
		int64_t begin = idle_now_ms(), took;

		idle_deliver(lmtp, address);
		idle_assert_told_count(c, n);
		took = idle_now_ms() - begin;
		fastest = took < fastest ? took : fastest;
	}
	client_close(lmtp);
	return fastest;
}

void idle_assert_all_told(
    const struct private_relay *r, struct client *c, const char *address, int first)
{
	idle_fastest_ms(r, c, address, first, first + IDLE_TRIES - 1);
}

void idle_assert_at_once(
    const struct private_relay *r, struct client *c, const char *address, int first)
{
	assert_in_range(idle_fastest_ms(r, c, address, first, first + IDLE_TRIES - 1),
	    0, IDLE_DELAY_MS - 1);
}

/* Does the process say that it is an imap process of this address? */
static bool serves(const char *pid, const char *address)
{
	char path[64], title[512], wanted[128];
	FILE *f;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	f = fopen(path, "re");
	len = f ? fread(title, 1, sizeof(title) - 1, f) : 0;
	if (f)
		fclose(f);
	title[len] = '\0';
	snprintf(wanted, sizeof(wanted), IMAP_TITLE "%s ", address);
	return strncmp(title, wanted, strlen(wanted)) == 0;
}

/* Which session, as test/relay/relay keeps it, this relay's Dovecot lives in. */
static pid_t dovecot_session(const struct private_relay *r)
{
	struct support_text text = support_read_file(idle_path(r, "sessions/dovecot"));
	pid_t session = (pid_t)strtol(text.data, NULL, 10);

	free(text.data);
	assert_true(session > 0);
	return session;
}

/* What its processes have open is hidden from other users, even from root where that is a
 * container's; the title is not, nor is the session. */
pid_t idle_process(const struct private_relay *r, const char *address)
{
	pid_t session = dovecot_session(r), pid = 0;
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	assert_non_null(proc);
	while (!pid && (entry = readdir(proc))) {
		if (serves(entry->d_name, address) &&
		    getsid((pid_t)strtol(entry->d_name, NULL, 10)) == session)
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	closedir(proc);
	return pid;
}

long idle_cpu_ticks(pid_t pid)
{
	struct support_text text;
	char path[64];
	unsigned long user, system;
	int got;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text = support_read_file(path);
	got = sscanf(strrchr(text.data, ')'),
	    ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	free(text.data);
	assert_int_equal(got, 2);
	return (long)(user + system);
}

void idle_assert_no_crash(const struct private_relay *r)
{
	static const char *const words[] = { "Panic:", "Fatal:", "killed with signal",
		"leak" };
	struct support_text log = support_read_file(idle_path(r, "log/dovecot.log"));

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *at = strstr(log.data, words[i]);

		if (at)
			fail_msg("Dovecot's log: %.200s", at);
	}
	free(log.data);
}
