/* chatmaild/fsreport.c: mailboxes counted, and the texts that others read. */
#include "chatmaild/fsreport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test/support.h"

#define NOW 1700000000
#define DAY 86400

struct place {
	char *dir;
	struct fsreport r;
};

static void put(struct place *p, const char *name, size_t size)
{
	char *path = support_path(p->dir, name), *text = calloc(1, size + 1);

	assert_non_null(text);
	for (char *slash = path + strlen(p->dir) + 1; (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	memset(text, 'x', size);
	support_write_file(path, span_make(text, size));
	free(text);
	free(path);
}

static void login(struct place *p, const char *address, int64_t days)
{
	const struct timespec times[2] = { { NOW - days * DAY, 0 },
		{ NOW - days * DAY, 0 } };
	char *box = support_path(p->dir, address),
	     *path = support_path(box, "password"), name[128];

	snprintf(name, sizeof(name), "%s/password", address);
	put(p, name, 10);
	assert_return_code(utimensat(AT_FDCWD, path, times, 0), errno);
	free(path);
	free(box);
}

static void place_init(struct place *p)
{
	p->dir = support_tmpdir();
	p->r = (struct fsreport){ .now = NOW, .max_entries = -1 };
	setenv("TZ", "UTC", 1);
	tzset();
	login(p, "a@x", 0);
	login(p, "b@x", 20);
	login(p, "ci-c@x", 0);
	put(p, "a@x/cur/1", 120000);
	put(p, "a@x/.Sent/new/2", 600000);
	put(p, "b@x/new/3", 10);
	put(p, "b@x/dovecot.index", 990);
	put(p, "none@x/cur/4", 5); /* no account */
	put(p, "elsewhere/cur/5", 7);
}

static void place_deinit(struct place *p)
{
	support_tmpdir_remove(p->dir);
}

static char *text_of(
    const struct fsreport *r, void (*write)(const struct fsreport *, FILE *))
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	write(r, out);
	fclose(out);
	return text;
}

static void for_people(void **state)
{
	struct place p;
	char *text;

	place_init(&p);
	assert_return_code(fsreport_read(&p.r, p.dir), errno);
	text = text_of(&p.r, fsreport_text);
	assert_string_equal(text,
	    "\n"
	    "## Mailbox storage use analysis\n"
	    "Mailbox data total size:   721K\n"
	    "Messages total size    :   720K\n"
	    "Extra files :  1.02K (0.14%)\n"
	    "\n"
	    "larger than  0.00K:   720K (100.00%), 3 msgs\n"
	    "larger than   102K:   720K (100.00%), 2 msgs\n"
	    "larger than   524K:   600K (83.33%), 1 msgs\n"
	    "larger than     1M:  0.00K (0.00%), 0 msgs\n"
	    "larger than     2M:  0.00K (0.00%), 0 msgs\n"
	    "larger than     5M:  0.00K (0.00%), 0 msgs\n"
	    "larger than    10M:  0.00K (0.00%), 0 msgs\n"
	    "\n"
	    "## Login stats, from date reference 2023-11-14 22:13:20\n"
	    "all:      0.00K\n"
	    "non-ci:   0.00K\n"
	    "ci:       0.00K\n"
	    "last   1 days:  0.00K (50.00%)\n"
	    "last  10 days:  0.00K (50.00%)\n"
	    "last  30 days:  0.00K (100.00%)\n"
	    "last  40 days:  0.00K (100.00%)\n"
	    "last  80 days:  0.00K (100.00%)\n"
	    "last 100 days:  0.00K (100.00%)\n"
	    "last 150 days:  0.00K (100.00%)\n");
	free(text);
	place_deinit(&p);
}

static void narrowed(void **state)
{
	struct place p;
	char *text;

	place_init(&p);
	p.r.min_age = 10;
	p.r.mdir = "new";
	assert_return_code(fsreport_read(&p.r, p.dir), errno);
	assert_int_equal(p.r.count[0], 1); /* b's */
	assert_int_equal(p.r.bytes[0], 10);
	assert_int_equal(p.r.messages_bytes, 720015); /* all, whatever age */
	text = text_of(&p.r, fsreport_text);
	assert_non_null(strstr(text, "### Message storage for 10 days old logins\n"));
	assert_non_null(strstr(text, "[new] larger than  0.00K:  0.01K (0.00%)"));
	free(text);
	place_deinit(&p);
}

static void nobody(void **state)
{
	struct fsreport r = { .now = NOW, .max_entries = -1 };
	char *dir = support_tmpdir(), *text;

	assert_return_code(fsreport_read(&r, dir), errno);
	text = text_of(&r, fsreport_text);
	assert_non_null(strstr(text, "Extra files :  0.00K (100.00%)\n"));
	assert_non_null(strstr(text, "last   1 days:  0.00K 100%\n"));
	free(text);
	support_tmpdir_remove(dir);
	assert_int_equal(fsreport_read(&r, "/nowhere"), -1);
}

static void for_prometheus(void **state)
{
	static const char storage[] =
	    "# HELP chatmail_storage_bytes Mailbox storage in bytes.\n"
	    "# TYPE chatmail_storage_bytes gauge\n"
	    "chatmail_storage_bytes{kind=\"messages\"} 720015\n"
	    "chatmail_storage_bytes{kind=\"extra\"} 1020\n"
	    "chatmail_storage_bytes{kind=\"total\"} 721035\n"
	    "# HELP chatmail_messages_bytes Sum of msg bytes >= threshold.\n";
	static const char accounts[] = "chatmail_accounts{kind=\"all\"} 3\n"
				       "chatmail_accounts{kind=\"ci\"} 1\n"
				       "chatmail_accounts{kind=\"user\"} 2\n";
	static const char active[] = "chatmail_accounts_active{days=\"10\"} 1\n"
				     "chatmail_accounts_active{days=\"30\"} 2\n";
	static const char *const wanted[] = {
		storage,
		accounts,
		active,
		"chatmail_messages_bytes{min_size=\"524288\"} 600000\n",
		"chatmail_messages_count{min_size=\"0\"} 3\n",
	};
	struct place p;
	char *text;

	place_init(&p);
	assert_return_code(fsreport_read(&p.r, p.dir), errno);
	text = text_of(&p.r, fsreport_prometheus);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_non_null(strstr(text, wanted[i]));
	free(text);
	place_deinit(&p);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(for_people) },
		{ SUPPORT_TEST(narrowed) },
		{ SUPPORT_TEST(nobody) },
		{ SUPPORT_TEST(for_prometheus) },
	};

	return support_run("fsreport", tests, ARRAY_LEN(tests));
}
