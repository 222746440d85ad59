/*
 * A client that idles is told at once, by the real Dovecot with our plugin in its imap
 * processes: whatever changes the mailbox, and whatever becomes of its index.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/relay/idle.h"
#include "test/support.h"

#define RUN_LENGTH 200
/* The index log gives way to a new one each few messages. */
#define CONFIG                                                                         \
	"mail_index_log_rotate_min_size = 1k\n"                                        \
	"mail_index_log_rotate_max_size = 2k\n"                                        \
	"mail_index_log_rotate_min_age = 0\n"

static struct private_relay relay;

static void a_delivery(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);

	idle_assert_at_once(&relay, c, address, 1);
	assert_true(imap_done(c));
	client_close(c);
}

static void a_delivery_to_three_clients(void **state)
{
	const char *address = new_address();
	struct client *c[3], *lmtp = idle_open_lmtp(&relay);

	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		c[i] = idle_open(&relay, address);
	for (int n = 1; n <= IDLE_TRIES; n++) {
		idle_deliver(lmtp, address);
		for (size_t i = 0; i < ARRAY_LEN(c); i++)
			idle_assert_told_count(c[i], n);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		assert_true(imap_done(c[i]));
		client_close(c[i]);
	}
	client_close(lmtp);
}

static void changes_by_another_client(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address), *other;
	struct client *lmtp = idle_open_lmtp(&relay);

	for (int n = 1; n <= 3; n++) {
		idle_deliver(lmtp, address);
		idle_assert_told_count(c, n);
	}
	other = open_inbox(&relay, address);
	assert_true(imap_command(other, "STORE 1,3 +FLAGS.SILENT (\\Deleted)"));
	idle_assert_told(c, "* 1 FETCH (FLAGS (\\Deleted \\Recent))");
	idle_assert_told(c, "* 3 FETCH (FLAGS (\\Deleted \\Recent))");
	assert_true(imap_command(other, "EXPUNGE"));
	idle_assert_told(c, "* 3 EXPUNGE");
	idle_assert_told(c, "* 1 EXPUNGE");
	assert_true(imap_done(c));
	client_close(lmtp);
	client_close(other);
	client_close(c);
}

/* As a delivery leaves it that is killed: its process is gone, and it is old. */
static void leave_lock(const char *address)
{
	const struct timespec long_ago[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char host[256] = "";
	pid_t pid = fork();
	FILE *lock;

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	lock = fopen(idle_path(&relay, "mail/%s/dovecot-uidlist.lock", address), "wxe");
	assert_non_null(lock);
	assert_true(fprintf(lock, "%d:%s", (int)pid, host) > 0);
	assert_int_equal(fflush(lock), 0);
	assert_int_equal(futimens(fileno(lock), long_ago), 0);
	assert_int_equal(fclose(lock), 0);
}

/* Nobody is told while a Maildir is locked. */
static void past_a_lock_left_behind(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);

	leave_lock(address);
	idle_assert_at_once(&relay, c, address, 1);
	assert_true(imap_done(c));
	client_close(c);
}

/* Select a new folder, and idle. */
static struct client *open_folder(const char *address)
{
	struct client *c = open_inbox(&relay, address);

	assert_true(imap_command(c, "CREATE Folder"));
	assert_true(imap_command(c, "SELECT Folder"));
	assert_true(imap_idle(c));
	return c;
}

static void copies_to_a_folder(void **state)
{
	const char *address = new_address();
	struct client *c = open_folder(address), *other = open_inbox(&relay, address);
	struct client *lmtp = idle_open_lmtp(&relay);
	int64_t fastest = INT64_MAX;

	idle_deliver(lmtp, address);
	assert_int_equal(imap_count(other), 1);
	for (int n = 1; n <= IDLE_TRIES; n++) {
		int64_t begin = idle_now_ms(), took;

		assert_true(imap_command(other, "COPY 1 Folder"));
		idle_assert_told_count(c, n);
		took = idle_now_ms() - begin;
		fastest = took < fastest ? took : fastest;
	}
	assert_in_range(fastest, 0, IDLE_DELAY_MS - 1);
	client_close(lmtp);
	client_close(other);
	client_close(c);
}

/* NOTIFY tells without IDLE; Dovecot begins a second after the last command or notice,
 * so that a notice may have to wait for that. It watches the inbox's log for itself,
 * too. */
static void by_notify(void **state)
{
	const char *address = new_address();
	struct client *c = open_inbox(&relay, address);

	assert_true(imap_command(c, "NOTIFY SET (SELECTED (MessageNew MessageExpunge)) "
				    "(PERSONAL (MessageNew MessageExpunge))"));
	assert_true(imap_silent(c, 1500));
	idle_assert_all_told(&relay, c, address, 1);
	assert_true(imap_idle(c));
	idle_assert_all_told(&relay, c, address, IDLE_TRIES + 1);
	assert_true(imap_done(c));
	assert_true(imap_silent(c, 1500));
	idle_assert_all_told(&relay, c, address, 2 * IDLE_TRIES + 1);
	client_close(c);
}

/* Its client has to go; the name is free, and a new folder is watched as any. */
static void a_deleted_folder(void **state)
{
	const char *address = new_address();
	struct client *c = open_folder(address), *other = open_inbox(&relay, address);

	assert_true(imap_command(other, "DELETE Folder"));
	idle_assert_told(c, "please relogin.");
	client_close(c);
	c = open_folder(address);
	assert_true(imap_command(other, "APPEND Folder {1+}\r\nx"));
	idle_assert_told_count(c, 1);
	client_close(other);
	client_close(c);
}

static void over_log_rotations(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);

	for (int round = 0; round < 4; round++)
		idle_assert_at_once(&relay, c, address, round * IDLE_TRIES + 1);
	/* Where the last one went. */
	assert_int_equal(
	    access(idle_path(&relay, "mail/%s/dovecot.index.log.2", address), F_OK), 0);
	client_close(c);
}

static void after_an_index_rebuild(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);
	char command[256];

	idle_assert_at_once(&relay, c, address, 1);
	snprintf(command, sizeof(command),
	    "doveadm -c %s/etc/dovecot/dovecot.conf force-resync -u %s INBOX",
	    relay.dir, address);
	assert_int_equal(system(command), 0);
	idle_assert_at_once(&relay, c, address, IDLE_TRIES + 1);
	assert_true(imap_done(c));
	client_close(c);
}

/* Two clients on a mailbox, so that what the one writes could wake the other for ever. */
static void silence_after_a_run(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address), *other;
	struct client *lmtp = idle_open_lmtp(&relay);
	pid_t pid = idle_process(&relay, address);
	long ticks;

	assert_int_not_equal(pid, 0);
	other = idle_open(&relay, address);
	for (int n = 1; n <= RUN_LENGTH; n++)
		idle_deliver(lmtp, address);
	idle_assert_told_count(c, RUN_LENGTH);
	idle_assert_told_count(other, RUN_LENGTH);
	/* What Dovecot's own delay brings tells nothing new. */
	while (!imap_silent(c, 2 * IDLE_DELAY_MS))
		idle_assert_told(c, " RECENT");
	ticks = idle_cpu_ticks(pid);
	assert_true(imap_silent(c, 2 * IDLE_DELAY_MS));
	/* A loop would take all of that second. */
	assert_in_range(idle_cpu_ticks(pid) - ticks, 0, sysconf(_SC_CLK_TCK) / 20);
	client_close(lmtp);
	client_close(other);
	client_close(c);
}

static void no_process_crashed(void **state)
{
	idle_assert_no_crash(&relay);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(a_delivery) },
		{ SUPPORT_TEST(a_delivery_to_three_clients) },
		{ SUPPORT_TEST(changes_by_another_client) },
		{ SUPPORT_TEST(past_a_lock_left_behind) },
		{ SUPPORT_TEST(copies_to_a_folder) },
		{ SUPPORT_TEST(by_notify) },
		{ SUPPORT_TEST(a_deleted_folder) },
		{ SUPPORT_TEST(over_log_rotations) },
		{ SUPPORT_TEST(after_an_index_rebuild) },
		{ SUPPORT_TEST(silence_after_a_run) },
		{ SUPPORT_TEST(no_process_crashed) },
	};
	int status = idle_relay_up(&relay);

	if (status != 0)
		return status;
	idle_configure(&relay, CONFIG);
	status = support_run("idle", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return status;
}
