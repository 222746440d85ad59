/*
 * The built chatmailctl: against the built daemon, without one, and under the names that
 * older relays had.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/flow/built.h"

#define USER  "someone12@" BUILT_DOMAIN
#define DAY   86400
#define WORDS 8

struct house {
	struct built b;
	char *ini;
	int code;
	char out[8192]; /* what the last command wrote, both ways */
};

static void house_init(struct house *h)
{
	built_init(&h->b);
	h->ini = built_path(&h->b, "chatmail.ini");
}

static void house_deinit(struct house *h)
{
	free(h->ini);
	built_deinit(&h->b);
}

/* name NULL: chatmailctl itself; else it under that name. The words' end is NULL. */
static void run(struct house *h, const char *name, const char *const *words)
{
	char *program = getenv("CHATMAILCTL"), *alias = NULL, *argv[WORDS + 4];
	char *out = built_path(&h->b, "output");
	struct support_text text;
	int status, n = 0;
	pid_t pid;

	assert_non_null(program);
	if (name) {
		alias = built_path(&h->b, name);
		assert_true(symlink(program, alias) == 0 || errno == EEXIST);
	}
	argv[n++] = alias ? alias : program;
	if (!name) {
		argv[n++] = (char *)"--config";
		argv[n++] = h->ini;
	}
	while (*words)
		argv[n++] = (char *)(uintptr_t)*words++;
	argv[n] = NULL;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600),
		    null = open("/dev/null", O_RDONLY);

		dup2(null, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		execv(argv[0], argv);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	h->code = WEXITSTATUS(status);
	text = support_read_file(out);
	snprintf(h->out, sizeof(h->out), "%s", text.data);
	free(text.data);
	free(out);
	free(alias);
}
#define RUN(h, name, ...) run(h, name, (const char *const[]){ __VA_ARGS__, NULL })

static void expect(struct house *h, int code, const char *text)
{
	if (h->code != code || !strstr(h->out, text))
		fail_msg("exit %d, \"%s\"", h->code, h->out);
}

/* A file below mail/, old by that many days. */
static void put(struct house *h, const char *name, int64_t days)
{
	const time_t when = time(NULL) - days * DAY;
	const struct timespec times[2] = { { when, 0 }, { when, 0 } };
	char *path, below[256];

	snprintf(below, sizeof(below), "mail/%s", name);
	path = built_path(&h->b, below);
	for (char *slash = path + strlen(h->b.dir) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	support_write_file(path, span_of("{PLAIN}x"));
	assert_return_code(utimensat(AT_FDCWD, path, times, 0), errno);
	free(path);
}

static bool has(struct house *h, const char *name)
{
	char below[256];

	snprintf(below, sizeof(below), "mail/%s", name);
	return built_has(&h->b, below);
}

static const struct usage_case {
	const char *name, *words[4];
	int code;
	const char *text;
} usage_cases[] = {
	{ "help", { "--help" }, 0, "users block ADDRESS" },
	{ "version", { "--version" }, 0, "chatmailctl " },
	{ "nothing", { NULL }, 2, "no command" },
	{ "unknown", { "fly" }, 2, "no such command" },
	{ "half a name", { "users" }, 2, "no such command" },
	{ "missing", { "users", "show" }, 2, "something is missing" },
	{ "too much", { "status", "now" }, 2, "one argument too many" },
	{ "foreign option", { "status", "--yes" }, 2, "does not know" },
	{ "unknown option", { "--fly" }, 2, "--help" },
	{ "no daemon", { "status" }, 1, "systemctl start chatmaild" },
};

static void usage(void **state)
{
	const struct usage_case *c = *state;
	struct house h;

	house_init(&h);
	run(&h, NULL, c->words);
	expect(&h, c->code, c->text);
	house_deinit(&h);
}

static void talks_to_the_daemon(void **state)
{
	struct house h;

	house_init(&h);
	built_start(&h.b);
	RUN(&h, NULL, "status");
	expect(&h, 0, "chatmaild ");
	RUN(&h, NULL, "status", "--json");
	expect(&h, 0, "\"mail_domain\":\"" BUILT_DOMAIN "\"");
	RUN(&h, NULL, "users", "create", "someone12");
	expect(&h, 0, "address   " USER "\npassword  ");
	RUN(&h, NULL, "users", "list");
	expect(&h, 0, USER);
	RUN(&h, NULL, "users", "list", "some");
	expect(&h, 0, USER);
	RUN(&h, NULL, "users", "list", "\xe4");
	expect(&h, 1, "not UTF-8");
	RUN(&h, NULL, "users", "block", USER);
	expect(&h, 0, "");
	RUN(&h, NULL, "users", "show", USER);
	expect(&h, 0, "state           blocked");
	RUN(&h, NULL, "users", "unblock", USER);
	expect(&h, 0, "");
	RUN(&h, NULL, "users", "delete", USER);
	expect(&h, 1, "--yes");
	assert_true(has(&h, USER "/password"));
	RUN(&h, NULL, "push", "status");
	expect(&h, 0, "waiting    0");
	RUN(&h, NULL, "push", "flush");
	expect(&h, 0, "0 notifications");
	RUN(&h, NULL, "reload");
	expect(&h, 0, "is in force");
	built_expect(&h.b, "RELOADING=1");
	built_expect(&h.b, "READY=1");
	put(&h, USER "/cur/old", 50);
	RUN(&h, NULL, "expire", "--dry-run");
	expect(&h, 0, "/cur/old: old, of ");
	assert_true(has(&h, USER "/cur/old"));
	RUN(&h, NULL, "expire", "--yes", "--json");
	expect(&h, 0, "\"files_removed\":1");
	assert_false(has(&h, USER "/cur/old"));
	RUN(&h, NULL, "users", "delete", "--yes", USER);
	expect(&h, 0, "");
	assert_false(has(&h, USER));
	built_stop(&h.b);
	house_deinit(&h);
}

/* A line of the output that begins and ends so; what is between is a path or a number. */
static void expect_line(struct house *h, const char *begin, const char *end)
{
	const char *at = h->out;

	while (at) {
		const char *eol = strchr(at, '\n');
		size_t len = eol ? (size_t)(eol - at) : strlen(at);

		if (len >= strlen(begin) + strlen(end) &&
		    memcmp(at, begin, strlen(begin)) == 0 &&
		    memcmp(at + len - strlen(end), end, strlen(end)) == 0)
			return;
		at = eol ? eol + 1 : NULL;
	}
	fail_msg("no line \"%s...%s\" in \"%s\"", begin, end, h->out);
}

static void expires_as_of_old(void **state)
{
	struct house h;

	house_init(&h);
	put(&h, "used@x/password", 1);
	put(&h, "used@x/cur/old", 50);
	put(&h, "used@x/cur/fresh", 1);
	put(&h, "used@x/maildirsize", 1);
	put(&h, "unused@x/password", 100);
	put(&h, "strange@x/file", 100);
	put(&h, "elsewhere/cur/old", 100);

	RUN(&h, "chatmail-expire", h.ini, "-v");
	expect_line(&h, "removing ", "/unused@x");
	expect_line(&h, "removing ", "/used@x/cur/old");
	expect_line(&h, "removing /", "/used@x/maildirsize");
	expect_line(&h, "checking mailbox (no last_login) ", "strange@x");
	expect_line(&h, "Skipped deleting /",
	    "/strange@x, doesn't have last_login but isn't empty");
	expect_line(&h,
	    "Removed 1 out of 3 mailboxes and 2 out of 2 files in existing mailboxes "
	    "in ",
	    " seconds");
	assert_true(has(&h, "unused@x/password"));
	assert_true(has(&h, "used@x/cur/old"));

	RUN(&h, "chatmail-expire", "--days", "60", "--remove", h.ini);
	expect(&h, 0, "Removed 0 out of 3 mailboxes and 0 out of 2 files");
	RUN(&h, "chatmail-expire", "--maxnum", "0", "--remove", h.ini);
	expect(&h, 0, "Removed 0 out of 0 mailboxes");
	RUN(&h, "chatmail-expire", "--remove", h.ini);
	expect(&h, 0, "Removed 1 out of 3 mailboxes and 2 out of 2 files");
	assert_false(has(&h, "unused@x"));
	assert_false(has(&h, "used@x/cur/old"));
	assert_false(has(&h, "used@x/maildirsize"));
	assert_true(has(&h, "used@x/cur/fresh"));
	assert_true(has(&h, "strange@x/file"));
	assert_true(has(&h, "elsewhere/cur/old"));
	RUN(&h, "chatmail-expire", "--days", "x");
	expect(&h, 2, "no number");
	house_deinit(&h);
}

static void expires_with_mistakes(void **state)
{
	struct house h;

	house_init(&h);
	RUN(&h, "chatmail-expire", h.ini);
	expect_line(&h, "no mailboxes found at: /", "/mail");
	assert_int_equal(h.code, 0);
	RUN(&h, "chatmail-expire", "--fly");
	expect(&h, 2, "Usage: chatmail-expire");
	RUN(&h, "chatmail-expire", h.ini, h.ini);
	expect(&h, 2, "one argument too many");
	RUN(&h, "chatmail-expire", "/nowhere/chatmail.ini");
	expect(&h, 1, "/nowhere/chatmail.ini");
	RUN(&h, "chatmail-expire", "--help");
	expect(&h, 0, "--maxnum N");
	house_deinit(&h);
}

/* What the quota takes is told as by the rule itself; a dry run takes nothing. */
static void expires_over_quota(void **state)
{
	struct house h;

	house_init(&h);
	built_configure(&h.b, "max_mailbox_size = 1M\n");
	put(&h, "used@x/password", 0);
	put(&h, "used@x/maildirsize", 0);
	put(&h, "used@x/cur/1600000000.M1.host,S=700000:2,S", 0);
	put(&h, "used@x/cur/1600000001.M1.host,S=700000:2,S", 0);
	for (unsigned remove = 0; remove < 2; remove++) {
		if (remove)
			RUN(&h, "chatmail-expire", h.ini, "-v", "--remove");
		else
			RUN(&h, "chatmail-expire", h.ini, "-v");
		expect_line(&h, "checking mailbox ", " used@x");
		expect_line(
		    &h, "removing ", "/used@x/cur/1600000000.M1.host,S=700000:2,S");
		expect(&h, 0, "quota-expire: removed 1 message(s) from used@x\n");
		expect(&h, 0, "Removed 0 out of 1 mailboxes and 2 out of 2 files");
		assert_int_equal(
		    has(&h, "used@x/cur/1600000000.M1.host,S=700000:2,S"), !remove);
		assert_int_equal(has(&h, "used@x/maildirsize"), !remove);
		assert_true(has(&h, "used@x/cur/1600000001.M1.host,S=700000:2,S"));
	}
	house_deinit(&h);
}

static void only_the_inactive(void **state)
{
	struct house h;

	house_init(&h);
	put(&h, "used@x/password", 1);
	put(&h, "used@x/cur/old", 50);
	put(&h, "unused@x/password", 100);
	RUN(&h, "delete_inactive_users", h.ini);
	expect(&h, 0, "");
	assert_string_equal(h.out, "");
	assert_false(has(&h, "unused@x"));
	assert_true(has(&h, "used@x/cur/old"));
	house_deinit(&h);
}

static void trims_as_of_old(void **state)
{
	struct house h;
	char *box;

	house_init(&h);
	put(&h, "used@x/maildirsize", 0);
	put(&h, "used@x/new/1600000000.M1.host,S=700000", 0);
	put(&h, "used@x/cur/1600000001.M1.host,S=700000:2,S", 0);
	box = built_path(&h.b, "mail/used@x");
	RUN(&h, "chatmail-quota-expire", "1", box);
	expect(&h, 0, "quota-expire: removed 1 message(s) from used@x\n");
	assert_false(has(&h, "used@x/new/1600000000.M1.host,S=700000"));
	assert_true(has(&h, "used@x/cur/1600000001.M1.host,S=700000:2,S"));
	assert_false(has(&h, "used@x/maildirsize"));
	RUN(&h, "chatmail-quota-expire", "1", box);
	assert_int_equal(h.code, 0);
	assert_string_equal(h.out, "");
	RUN(&h, "chatmail-quota-expire", "1");
	expect(&h, 2, "Usage");
	RUN(&h, "chatmail-quota-expire", "x", box);
	expect(&h, 2, "TARGET_MB");
	RUN(&h, "chatmail-quota-expire", "1", "/nowhere");
	expect(&h, 1, "/nowhere");
	free(box);
	house_deinit(&h);
}

static void counts_as_of_old(void **state)
{
	struct house h;
	char *mail, *page;
	struct support_text text;

	house_init(&h);
	put(&h, "ci-asllkj/cur/x", 0);
	put(&h, "ac_12l3kj/cur/x", 0);
	put(&h, "qweqwe/cur/x", 0);
	put(&h, "ci-l1k2j31l2k3/cur/x", 0);
	put(&h, "nomailbox/x", 0);
	mail = built_path(&h.b, "mail");
	RUN(&h, "chatmail-metrics", mail);
	assert_string_equal(h.out, "# HELP total number of accounts\n"
				   "# TYPE accounts gauge\n"
				   "accounts 4\n"
				   "# HELP number of CI accounts\n"
				   "# TYPE ci_accounts gauge\n"
				   "ci_accounts 3\n"
				   "# HELP number of non-CI accounts\n"
				   "# TYPE nonci_accounts gauge\n"
				   "nonci_accounts 1\n");

	put(&h, "used@x/password", 1);
	RUN(&h, "chatmail-fsreport", h.ini);
	expect(&h, 0, "\n## Mailbox storage use analysis\n");
	RUN(&h, "chatmail-fsreport", h.ini, "--textfile", mail);
	expect(&h, 0, "");
	assert_string_equal(h.out, "");
	assert_true(has(&h, "fsreport.prom"));
	page = built_path(&h.b, "page");
	RUN(&h, "chatmail-fsreport", "--legacy-metrics", page, h.ini);
	expect(&h, 0, "");
	text = support_read_file(page);
	assert_non_null(strstr(text.data, "\naccounts 1\n"));
	free(text.data);
	RUN(&h, "chatmail-fsreport", "--mdir", "trash");
	expect(&h, 2, "Usage");
	free(page);
	free(mail);
	house_deinit(&h);
}

static const struct report_case {
	const char *name, *words[4];
	int code;
	const char *text;
} report_cases[] = {
	{ "all", { NULL }, 0, "all:      0.00K\nnon-ci:   0.00K\n" },
	{ "the storage", { NULL }, 0,
	    "\nlarger than  0.00K:  0.02K (100.00%), 2 msgs\n" },
	{ "of one directory", { "--mdir", "new" }, 0,
	    "\n[new] larger than  0.00K:  0.01K (50.00%), 1 msgs\n" },
	{ "of those who were away", { "--min-login-age", "5" }, 0,
	    "### Message storage for 5 days old logins\n"
	    "larger than  0.00K:  0.01K (50.00%), 1 msgs\n" },
	{ "who logs in", { NULL }, 0, "last   1 days:  0.00K (50.00%)\n" },
	{ "some days ago", { "--days", "9" }, 0, "last   1 days:  0.00K (100.00%)\n" },
	{ "the first", { "--maxnum", "0" }, 0,
	    "Extra files :  0.00K (100.00%)\n\nlarger than  0.00K:  0.00K (0.00%), 0 "
	    "msgs" },
	{ "no number", { "--maxnum", "x" }, 2, "--maxnum" },
	{ "no directory of mail", { "--mdir", "trash" }, 2, "Usage" },
	{ "help", { "--help" }, 0, "--legacy-metrics [FILE]" },
	{ "where nothing can be written", { "--textfile", "/nowhere/x" }, 1,
	    "/nowhere/x" },
};

static void reports_as_of_old(void **state)
{
	const struct report_case *c = *state;
	const char *words[6] = { NULL };
	struct house h;
	size_t n = 0;

	house_init(&h);
	put(&h, "used@x/password", 0);
	put(&h, "used@x/new/1", 0);
	put(&h, "away@x/password", 10);
	put(&h, "away@x/cur/2", 0);
	words[n++] = h.ini;
	for (size_t i = 0; c->words[i]; i++)
		words[n++] = c->words[i];
	run(&h, "chatmail-fsreport", words);
	expect(&h, c->code, c->text);
	house_deinit(&h);
}

/* Postfix's own tool, by way of the search path. */
static void tells_of_the_queue(void **state)
{
	const char *path = getenv("PATH");
	char *tool, *with, *without = strdup(path ? path : "");
	struct house h;

	house_init(&h);
	tool = built_path(&h.b, "postqueue");
	support_write_file(tool,
	    span_of("#!/bin/sh\n"
		    "[ \"$1\" = -j ] || exit 9\n"
		    "cat <<'END'\n"
		    "{\"queue_name\": \"deferred\", \"arrival_time\": 1700000000, "
		    "\"message_size\": 2048, \"recipients\": [{\"address\": "
		    "\"a@one.example\", \"delay_reason\": \"connect to "
		    "one.example[192.0.2.1]:25: Connection refused\"}]}\n"
		    "END\n"));
	assert_return_code(chmod(tool, 0755), errno);
	assert_true(asprintf(&with, "%s:%s", h.b.dir, without) > 0);
	setenv("PATH", with, 1);
	RUN(&h, NULL, "queue");
	expect(&h, 0, "1 for one.example, waiting up to ");
	expect(&h, 0, "Its server runs, but takes no mail.\n1 messages, 2.0 KiB");
	RUN(&h, NULL, "queue", "--json");
	expect(&h, 0, "\"destination\":\"one.example\"");
	support_write_file(tool, span_of("#!/bin/sh\nexit 1\n"));
	RUN(&h, NULL, "queue");
	expect(&h, 1, "systemctl start postfix");
	support_write_file(tool, span_of("#!/bin/sh\n"));
	RUN(&h, NULL, "queue");
	expect(&h, 0, "The queue is empty.\n");
	setenv("PATH", without, 1);
	free(tool);
	free(with);
	free(without);
	house_deinit(&h);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(usage, usage_cases) },
		{ SUPPORT_TEST(talks_to_the_daemon) },
		{ SUPPORT_TEST(expires_as_of_old) },
		{ SUPPORT_TEST(expires_with_mistakes) },
		{ SUPPORT_TEST(expires_over_quota) },
		{ SUPPORT_TEST(only_the_inactive) },
		{ SUPPORT_TEST(trims_as_of_old) },
		{ SUPPORT_TEST(counts_as_of_old) },
		{ SUPPORT_TABLE(reports_as_of_old, report_cases) },
		{ SUPPORT_TEST(tells_of_the_queue) },
	};

	return support_run("flow_ctl", tests, ARRAY_LEN(tests));
}
