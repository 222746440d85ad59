/*
 * Idle clients whose imap process has gone to sleep, with the plugin in the process that
 * sleeps and in the one that wakes; and Dovecot alone, where the plugin does not work: a
 * login never fails for it, and no client hibernates without it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/relay/idle.h"
#include "test/support.h"

#define HIBERNATE_MS 1000
#define CONFIG       "imap_hibernate_timeout = 1s\n"
#define ALONE_MS     (IDLE_DELAY_MS - 10) /* timers and clocks are rounded */
#define WAIT_MS      20000

static struct private_relay relay;

/* --- hibernation ---------------------------------------------------------------- */

/* Until no process serves this address. */
static void wait_for_hibernation(const char *address)
{
	int64_t end = idle_now_ms() + WAIT_MS;

	while (idle_process(&relay, address) && idle_now_ms() < end)
		usleep(20000);
	assert_int_equal(idle_process(&relay, address), 0);
}

static void woken_by_mail(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);
	struct client *lmtp = idle_open_lmtp(&relay);

	for (int n = 1; n <= 2; n++) {
		wait_for_hibernation(address);
		idle_deliver(lmtp, address);
		idle_assert_told_count(c, n);
	}
	/* The process that it was woken in watches as the first one did. */
	idle_assert_at_once(&relay, c, address, 3);
	assert_true(imap_done(c));
	client_close(lmtp);
	client_close(c);
}

static void woken_by_its_client(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);

	wait_for_hibernation(address);
	assert_true(imap_done(c));
	assert_true(imap_idle(c));
	idle_assert_at_once(&relay, c, address, 1);
	assert_true(imap_done(c));
	client_close(c);
}

/*
 * The process does not get to run until both are due, to hibernate and to tell; Dovecot
 * looks at its timers first. What it forgets then is told to nobody.
 */
static void mail_at_that_moment(void **state)
{
	const char *address = new_address();
	struct client *c = idle_open(&relay, address);
	struct client *lmtp = idle_open_lmtp(&relay);
	pid_t pid = idle_process(&relay, address);

	assert_int_not_equal(pid, 0);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	idle_deliver(lmtp, address);
	usleep((HIBERNATE_MS + IDLE_DELAY_MS) * 1000);
	assert_int_equal(kill(pid, SIGCONT), 0);
	idle_assert_told_count(c, 1);
	wait_for_hibernation(address);
	client_close(lmtp);
	client_close(c);
}

/* --- a plugin that does not work ------------------------------------------------ */

enum damage {
	MISSING,
	EMPTY,
	TRUNCATED,
	OTHER_ABI,
};

static const struct broken_case {
	const char *name;
	enum damage damage;
} broken_cases[] = {
	{ "missing", MISSING },
	{ "empty", EMPTY },
	{ "truncated", TRUNCATED },
	{ "for another Dovecot", OTHER_ABI },
};

/* A new file: processes still run that have the old one. */
static void write_plugin(const char *data, size_t len)
{
	const char *path = idle_path(&relay, "lib/modules/" IDLE_PLUGIN);

	unlink(path);
	if (!data)
		return;
	support_write_file(path, (struct span){ data, len });
	assert_int_equal(chmod(path, 0755), 0);
}

static void damage_plugin(enum damage damage)
{
	struct support_text file = support_read_file(idle_built_plugin());
	char *abi = memmem(file.data, file.len, ".ABIv", strlen(".ABIv"));

	assert_non_null(abi);
	abi[strlen(".ABIv")] += damage == OTHER_ABI;
	if (damage == MISSING)
		write_plugin(NULL, 0);
	else if (damage == EMPTY)
		write_plugin("", 0);
	else /* the larger part of the file may be of no use to anybody */
		write_plugin(file.data, damage == TRUNCATED ? file.len / 8 : file.len);
	free(file.data);
}

static void repair_plugin(void)
{
	struct support_text file = support_read_file(idle_built_plugin());

	write_plugin(file.data, file.len);
	free(file.data);
}

static void restart_dovecot(void)
{
	private_part(&relay, "stop", "dovecot");
	private_part(&relay, "start", "dovecot");
}

/* What Dovecot's configuration says of the setting, as imap sees it. */
static void assert_setting(const char *name, const char *value)
{
	char command[256], got[256] = "";
	FILE *pipe;

	snprintf(command, sizeof(command),
	    "doveconf -c %s/etc/dovecot/dovecot.conf -f protocol=imap -h %s", relay.dir,
	    name);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(got, sizeof(got), pipe));
	assert_int_equal(pclose(pipe), 0);
	got[strcspn(got, "\n")] = '\0';
	assert_string_equal(got, value);
}

/* Clients log in and are told, if later; and at once when the plugin is repaired. */
static void a_broken_plugin(void **state)
{
	const struct broken_case *broken = *state;
	const char *address = new_address();
	struct client *c;

	damage_plugin(broken->damage);
	restart_dovecot();
	assert_setting("mail_plugins", "zlib quota imap_quota last_login");
	assert_setting("imap_hibernate_timeout", "0");
	c = idle_open(&relay, address);
	assert_in_range(idle_fastest_ms(&relay, c, address, 1, 2), ALONE_MS, INT64_MAX);
	client_close(c);
	repair_plugin();
	restart_dovecot();
	assert_setting(
	    "mail_plugins", "zlib quota imap_quota last_login chatmail_idle");
	assert_setting("imap_hibernate_timeout", "30 secs");
	c = idle_open(&relay, address);
	idle_assert_at_once(&relay, c, address, 3);
	client_close(c);
}

static void no_process_crashed(void **state)
{
	idle_assert_no_crash(&relay);
}

int main(void)
{
	static const struct support_test broken[] = {
		{ SUPPORT_TABLE(a_broken_plugin, broken_cases) },
		{ SUPPORT_TEST(no_process_crashed) },
	};
	static const struct support_test sleepy[] = {
		{ SUPPORT_TEST(woken_by_mail) },
		{ SUPPORT_TEST(woken_by_its_client) },
		{ SUPPORT_TEST(mail_at_that_moment) },
		{ SUPPORT_TEST(no_process_crashed) },
	};
	int status = idle_relay_up(&relay);

	if (status != 0)
		return status;
	status = support_run("broken plugin", broken, ARRAY_LEN(broken));
	idle_configure(&relay, CONFIG);
	status += support_run("hibernation", sleepy, ARRAY_LEN(sleepy));
	private_down(&relay);
	return status;
}
