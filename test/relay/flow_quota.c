/*
 * A mailbox that gets full, with a real Dovecot: its warning has the oldest mail deleted,
 * with the daemon and without, and the client sees what it has again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "deploy/mail.h"
#include "test/relay/steps.h"
#include "test/support.h"

#define LIMIT_KIB   1024                 /* max_mailbox_size */
#define MARK_KIB    (LIMIT_KIB * 7 / 10) /* what the trim leaves */
#define OLD_MAILS   10
#define OLD_BYTES   75000 /* so that all are just below the warning's 75 % */
#define NEW_BYTES   40000 /* of cipher text */
#define FRESH_MAILS 16    /* beyond the warning, below the limit */
#define DEADLINE_S  20

static struct private_relay relay;

static void put_old_mail(const char *user, unsigned i, const struct stat *owner)
{
	char path[256], text[OLD_BYTES];

	snprintf(path, sizeof(path), "%s/mail/%s/cur/160000000%u.M1P1.old,S=%d:2,S",
	    relay.dir, user, i, OLD_BYTES);
	memset(text, 'x', sizeof(text));
	memcpy(text, "Subject: old\r\n\r\n", 16);
	support_write_file(path, span_make(text, sizeof(text)));
	assert_return_code(chown(path, owner->st_uid, owner->st_gid), errno);
}

/* As if a client had not looked for years. Dovecot counts anew without its file. */
static void fill(const char *user)
{
	char path[256];
	struct stat owner;

	snprintf(path, sizeof(path), "%s/mail/%s", relay.dir, user);
	assert_return_code(stat(path, &owner), errno);
	for (unsigned i = 0; i < OLD_MAILS; i++)
		put_old_mail(user, i, &owner);
	snprintf(path, sizeof(path), "%s/mail/%s/maildirsize", relay.dir, user);
	assert_true(unlink(path) == 0 || errno == ENOENT);
}

/* KiB in use, as the client is told. */
static unsigned used(struct client *c)
{
	static const char command[] = "q GETQUOTAROOT INBOX\r\n";
	unsigned kib = 0, limit = 0;
	const char *line;

	client_write(c, command, strlen(command));
	client_flush(c);
	while ((line = imap_told(c)) && strncmp(line, "q ", 2) != 0) {
		const char *storage = strstr(line, "(STORAGE ");

		if (storage)
			sscanf(storage, "(STORAGE %u %u)", &kib, &limit);
	}
	assert_non_null(line);
	assert_begins(line, "q OK");
	assert_int_equal(limit, LIMIT_KIB);
	return kib;
}

static void wait_for_trim(struct client *c)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (used(c) > MARK_KIB && time(NULL) < end)
		usleep(50000);
	assert_true(used(c) <= MARK_KIB);
	assert_true(used(c) > MARK_KIB / 2);
}

/* How many of the old ones are left; the oldest go first. */
static unsigned left(const char *user)
{
	unsigned n = 0;

	for (unsigned i = OLD_MAILS; i-- > 0;) {
		char path[256];

		snprintf(path, sizeof(path),
		    "%s/mail/%s/cur/160000000%u.M1P1.old,S=%d:2,S", relay.dir, user, i,
		    OLD_BYTES);
		if (access(path, F_OK) < 0)
			break;
		n++;
	}
	return n;
}

static void deliver(const char *to)
{
	const struct mail m = { "someone@remote.example", to, "[...]", "one-more" };
	struct client *lmtp;
	char path[128], *text;
	size_t len;

	snprintf(path, sizeof(path), "%s/spool/private/dovecot-lmtp", relay.dir);
	lmtp = lmtp_open(path);
	assert_non_null(lmtp);
	text = mail_encrypted(&m, NEW_BYTES, &len);
	assert_int_equal(smtp_send(lmtp, m.from, to, text, len), 250);
	free(text);
	client_close(lmtp);
}

static void append(struct client *c, const char *address)
{
	const struct mail m = { address, address, "[...]", "one-more" };
	const char *line;
	char command[64], *text;
	size_t len;

	text = mail_encrypted(&m, NEW_BYTES, &len);
	snprintf(command, sizeof(command), "p APPEND INBOX {%zu+}\r\n", len);
	client_write(c, command, strlen(command));
	client_write(c, text, len);
	client_write(c, "\r\n", 2);
	client_flush(c);
	free(text);
	while ((line = imap_told(c)) && strncmp(line, "p ", 2) != 0)
		;
	assert_non_null(line);
	assert_begins(line, "p OK");
}

static void delivery_trims(void **state)
{
	const char *user = new_account(&relay);
	struct client *c;

	fill(user);
	c = open_inbox(&relay, user);
	assert_int_equal(imap_count(c), OLD_MAILS);
	assert_true(used(c) > MARK_KIB);
	assert_int_equal(left(user), OLD_MAILS); /* that far nobody warned */
	deliver(user);
	wait_for_trim(c);
	assert_true(left(user) < OLD_MAILS);
	client_close(c);

	/* The new one is there, and who comes anew sees what is left. */
	c = open_inbox(&relay, user);
	assert_int_equal(imap_count(c), left(user) + 1);
	client_close(c);
}

static void trims_without_daemon(void **state)
{
	const char *user = new_account(&relay);
	struct client *c;

	fill(user);
	c = open_inbox(&relay, user);
	assert_true(used(c) > MARK_KIB);
	private_part(&relay, "stop", "chatmaild");
	append(c, user);
	wait_for_trim(c);
	assert_true(left(user) < OLD_MAILS);
	private_part(&relay, "start", "chatmaild");
	client_close(c);
}

/* A day's mail stays, so that its owner learns that his mailbox is full. */
static void fresh_mail_stays(void **state)
{
	const char *user = new_account(&relay);
	struct client *c = open_inbox(&relay, user);

	for (unsigned i = 0; i < FRESH_MAILS; i++)
		append(c, user);
	assert_true(used(c) > LIMIT_KIB * 3 / 4);
	assert_int_equal(imap_count(c), FRESH_MAILS);
	client_close(c);
	c = open_inbox(&relay, user);
	assert_int_equal(imap_count(c), FRESH_MAILS);
	client_close(c);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(delivery_trims) },
		{ SUPPORT_TEST(trims_without_daemon) },
		{ SUPPORT_TEST(fresh_mail_stays) },
	};
	int failed;

	if (!private_possible())
		return PRIVATE_SKIPPED;
	private_up(&relay, "--ini 'max_mailbox_size = 1M'");
	failed = support_run("quota", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return failed;
}
