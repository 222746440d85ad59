/*
 * IMAP METADATA with a real Dovecot: device tokens, facts about the relay, the hook that
 * tells of a new message, and TURN credentials that a real coturn takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deploy/mail.h"
#include "test/relay/steps.h"
#include "test/support.h"

#define SECRET     "north-by-northwest"
#define FACTS      "/shared/vendor/deltachat/"
#define ANSWER_MAX 4096
#define TURNSERVER "/usr/bin/turnserver"
#define UCLIENT    "/usr/bin/turnutils_uclient"
#define DEADLINE_S 10

static struct private_relay relay;

/* --- metadata over IMAP ---------------------------------------------------------- */

/* Run a command; its untagged lines, with '|' for each line end. */
__attribute__((format(printf, 2, 3))) static const char *ask(
    struct client *c, const char *format, ...)
{
	static char answer[ANSWER_MAX];
	char command[512];
	const char *line;
	size_t len = 0;
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	client_write(c, "m ", 2);
	client_write(c, command, strlen(command));
	client_write(c, "\r\n", 2);
	client_flush(c);
	answer[0] = '\0';
	while ((line = imap_told(c)) && strncmp(line, "m ", 2) != 0)
		len +=
		    (size_t)snprintf(answer + len, sizeof(answer) - len, "%s|", line);
	assert_non_null(line);
	assert_begins(line, "m OK");
	return answer;
}

/* The value of an entry of mailbox, or "NIL". */
static const char *get(struct client *c, const char *mailbox, const char *entry)
{
	static char value[ANSWER_MAX];
	const char *answer = ask(c, "GETMETADATA \"%s\" (%s)", mailbox, entry);
	const char *at = strstr(answer, "{"), *end;

	if (!at)
		return "NIL";
	at = strchr(at, '|');
	assert_non_null(at);
	end = strrchr(at, ')');
	assert_non_null(end);
	memcpy(value, at + 1, (size_t)(end - at - 1));
	value[end - at - 1] = '\0';
	return value;
}

static void device_tokens(void **state)
{
	const char *user = new_account(&relay), *other = new_account(&relay);
	struct client *c = open_inbox(&relay, user), *d = open_inbox(&relay, other);

	assert_string_equal(get(c, "INBOX", "/private/devicetoken"), "");
	ask(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"1111\")");
	ask(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"2222\")");
	assert_string_equal(get(c, "INBOX", "/private/devicetoken"), "1111 2222");
	ask(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"1111\")");
	assert_string_equal(get(c, "INBOX", "/private/devicetoken"), "1111 2222");
	assert_string_equal(get(d, "INBOX", "/private/devicetoken"), "");
	private_part(&relay, "kill", "chatmaild");
	private_part(&relay, "start", "chatmaild");
	assert_string_equal(get(c, "INBOX", "/private/devicetoken"), "1111 2222");
	client_close(c);
	client_close(d);
}

/* What cannot be is answered NO, and the connection goes on. */
static void refused(void **state)
{
	struct client *c = open_inbox(&relay, new_account(&relay));

	assert_false(imap_command(
	    c, "SETMETADATA \"INBOX\" (/private/devicetoken \"two words\")"));
	assert_false(
	    imap_command(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"\")"));
	assert_false(
	    imap_command(c, "SETMETADATA \"INBOX\" (/private/something \"x\")"));
	assert_string_equal(get(c, "INBOX", "/private/something"), "NIL");
	assert_string_equal(get(c, "", FACTS "something"), "NIL");
	assert_string_equal(get(c, "INBOX", "/private/devicetoken"), "");
	client_close(c);
}

static void facts(void **state)
{
	struct client *c = open_inbox(&relay, new_account(&relay));
	const char *all;

	assert_string_equal(get(c, "", FACTS "maxsmtprecipients"), "1000");
	assert_string_equal(get(c, "", FACTS "irohrelay"), "https://relay.example");
	assert_begins(get(c, "", FACTS "appversions"),
	    "{\"clients\":[{\"clientId\":\"deltachat\",");
	assert_begins(get(c, "", FACTS "turn"), "relay.example:3478:");
	/* As clients do at each connect. */
	all = ask(c, "GETMETADATA \"\" (/shared/comment /shared/admin " FACTS
		     "irohrelay " FACTS "turn " FACTS "maxsmtprecipients)");
	assert_non_null(strstr(all, FACTS "irohrelay {"));
	assert_non_null(strstr(all, FACTS "turn {"));
	assert_non_null(strstr(all, FACTS "maxsmtprecipients {"));
	client_close(c);
}

/* --- the hook -------------------------------------------------------------------- */

/* How many notifications wait for this account. */
static int waiting(const char *address)
{
	sqlite3_stmt *stmt;
	char path[128];
	sqlite3 *db;
	int n;

	snprintf(path, sizeof(path), "%s/lib/chatmaild/chatmaild.sqlite", relay.dir);
	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(
		db, "SELECT count(*) FROM pushes WHERE address = ?1", -1, &stmt, NULL),
	    SQLITE_OK);
	sqlite3_bind_text(stmt, 1, address, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

static void deliver(const char *from, const char *to)
{
	const struct mail m = { from, to, "[...]", "hook" };
	char path[128], *text;
	struct client *lmtp;
	size_t len;

	snprintf(path, sizeof(path), "%s/spool/private/dovecot-lmtp", relay.dir);
	lmtp = lmtp_open(path);
	assert_non_null(lmtp);
	text = mail_encrypted(&m, SMALL, &len);
	assert_int_equal(smtp_send(lmtp, from, to, text, len), 250);
	free(text);
	client_close(lmtp);
}

/* By the time LMTP says 250 the notification is on disk: one for each token. */
static void new_message(void **state)
{
	const char *user = new_account(&relay);
	struct client *c = open_inbox(&relay, user);

	deliver("sender@remote.example", user);
	assert_int_equal(waiting(user), 0);
	ask(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"one\")");
	ask(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"two\")");
	deliver(user, user); /* what one device sends to the others */
	assert_int_equal(waiting(user), 0);
	deliver("sender@remote.example", user);
	assert_int_equal(waiting(user), 2);
	deliver("sender@remote.example", user);
	assert_int_equal(waiting(user), 2);
	assert_true(imap_wait(c, 4));
	client_close(c);
}

/* A message arrives also while nobody keeps its notification. */
static void hook_without_store(void **state)
{
	const char *user = new_account(&relay);
	struct client *c = open_inbox(&relay, user);
	char path[128], aside[160];

	snprintf(path, sizeof(path), "%s/run/chatmaild/metadata.sock", relay.dir);
	snprintf(aside, sizeof(aside), "%s.aside", path);
	ask(c, "SETMETADATA \"INBOX\" (/private/devicetoken \"one\")");
	assert_return_code(rename(path, aside), errno);
	deliver("sender@remote.example", user);
	assert_true(imap_wait(c, 1));
	assert_return_code(rename(aside, path), errno);
	deliver("sender@remote.example", user);
	assert_int_equal(waiting(user), 1);
	client_close(c);
}

/* --- TURN ------------------------------------------------------------------------ */

static unsigned free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_return_code(bind(fd, (struct sockaddr *)&in, sizeof(in)), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&in, &len), errno);
	close(fd);
	return ntohs(in.sin_port);
}

static bool answers(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answered;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	answered = connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
	close(fd);
	return answered;
}

/* In the child: as nobody in particular, quiet. */
static void run_quietly(const char *dir)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (chdir(dir) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
		_exit(126);
}

static pid_t start_coturn(unsigned port, const char *dir)
{
	char listening[48], db[128];
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		snprintf(listening, sizeof(listening), "--listening-port=%u", port);
		snprintf(db, sizeof(db), "--userdb=%s/turndb", dir);
		run_quietly(dir);
		execl(TURNSERVER, TURNSERVER, "-n", "--use-auth-secret",
		    "--static-auth-secret=" SECRET, "--realm=relay.example",
		    "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", listening, db,
		    "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
		    "--pidfile=turn.pid", "--log-file=stdout", (char *)NULL);
		_exit(127);
	}
	for (unsigned i = 0; i < DEADLINE_S * 50 && !answers(port); i++)
		poll(NULL, 0, 20);
	assert_true(answers(port));
	return pid;
}

/* A client that relays a few messages to itself; whether it could. */
static bool coturn_takes(unsigned port, const char *username, const char *password)
{
	char number[16];
	int status;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		snprintf(number, sizeof(number), "%u", port);
		run_quietly("/");
		alarm(DEADLINE_S);
		execl(UCLIENT, UCLIENT, "-t", "-y", "-c", "-n", "1", "-m", "1", "-u",
		    username, "-w", password, "-p", number, "127.0.0.1", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A coturn of Debian that shares the secret. */
static void coturn(void **state)
{
	struct client *c = open_inbox(&relay, new_account(&relay));
	char credentials[512], dir[] = "/tmp/chatmail-turn-XXXXXX", *password;
	unsigned port = free_port();
	pid_t pid;

	if (access(TURNSERVER, X_OK) < 0 || access(UCLIENT, X_OK) < 0)
		fail_msg("no " TURNSERVER " or " UCLIENT ": install Debian's coturn");
	assert_non_null(mkdtemp(dir));
	assert_return_code(chmod(dir, 0777), errno);
	snprintf(credentials, sizeof(credentials), "%s", get(c, "", FACTS "turn"));
	assert_begins(credentials, "relay.example:3478:");
	memmove(credentials, credentials + 19, strlen(credentials + 19) + 1);
	password = strchr(credentials, ':');
	assert_non_null(password);
	*password++ = '\0';
	assert_true(strtoll(credentials, NULL, 10) > time(NULL) + 24 * 3600);

	pid = start_coturn(port, dir);
	assert_true(coturn_takes(port, credentials, password));
	assert_false(coturn_takes(port, "1", password));
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	client_close(c);
	snprintf(credentials, sizeof(credentials), "rm -rf %s", dir);
	assert_int_equal(system(credentials), 0);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(device_tokens) },
		{ SUPPORT_TEST(refused) },
		{ SUPPORT_TEST(facts) },
		{ SUPPORT_TEST(new_message) },
		{ SUPPORT_TEST(hook_without_store) },
		{ SUPPORT_TEST(coturn) },
	};
	int failed;

	if (!private_possible())
		return PRIVATE_SKIPPED;
	/* Nobody takes the notifications: they stay where they can be counted. */
	private_up(&relay, "--ini 'turn_secret = " SECRET
			   "' --ini 'push_url = https://localhost:1/notify'");
	failed = support_run("metadata", tests, ARRAY_LEN(tests));
	private_down(&relay);
	return failed;
}
