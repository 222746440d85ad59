/*
 * The built daemon is killed (SIGKILL) between Dovecot's hook and the sending: every
 * message whose hook was answered still has its notification after the next start, every
 * token that was acknowledged is there. Nobody listens at its notification service.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

#define DOMAIN      "chat.example"
#define HASH        "{SHA512-CRYPT}$6$salt$hash"
#define DEADLINE_MS 20000 /* never waited for by a test that passes */
#define LIVES       5
#define HOOKS       20 /* at once, in each life of the daemon */
#define ACCOUNTS    (LIVES * HOOKS)
#define MANY        100000

struct flow {
	char *dir;
	int notify; /* the daemon's sd_notify messages */
	pid_t pid;
	bool told[ACCOUNTS]; /* the hook was answered */
};

static void path_of(const struct flow *f, const char *name, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_true(snprintf(un->sun_path, sizeof(un->sun_path), "%s/%s", f->dir,
			name) < (int)sizeof(un->sun_path));
}

static void make_dir(const struct flow *f, const char *name)
{
	char *path = support_path(f->dir, name);

	assert_return_code(mkdir(path, 0700), errno);
	free(path);
}

static void make_account(const struct flow *f, unsigned number)
{
	char name[96], *path;

	snprintf(name, sizeof(name), "mail/number%03u@" DOMAIN, number);
	make_dir(f, name);
	snprintf(name, sizeof(name), "mail/number%03u@" DOMAIN "/password", number);
	path = support_path(f->dir, name);
	support_write_file(path, span_of(HASH));
	free(path);
}

static void write_config(const struct flow *f)
{
	const struct passwd *pw = getpwuid(geteuid());
	char *ini = support_path(f->dir, "chatmail.ini"), *text;
	int len;

	assert_non_null(pw);
	len = asprintf(&text,
	    "[params]\nmail_domain = " DOMAIN "\nmail_user = %s\n"
	    "mailboxes_dir = %s/mail\nstate_dir = %s/state\n"
	    "push_url = https://127.0.0.1:1/notify\n"
	    "auth_socket = unix:%s/auth.sock\nlastlogin_socket = "
	    "unix:%s/lastlogin.sock\n"
	    "metadata_socket = unix:%s/metadata.sock\nhttp_socket = unix:%s/http.sock\n"
	    "admin_socket = unix:%s/admin.sock\n"
	    "filter_outgoing_socket = unix:%s/outgoing.sock\n"
	    "filter_incoming_socket = unix:%s/incoming.sock\n"
	    "reinject_outgoing = unix:%s/out\nreinject_incoming = unix:%s/in\n",
	    pw->pw_name, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir,
	    f->dir, f->dir, f->dir);
	assert_true(len > 0);
	support_write_file(ini, span_make(text, (size_t)len));
	free(text);
	free(ini);
}

static struct flow *flow_create(unsigned accounts)
{
	struct flow *f = calloc(1, sizeof(*f));
	struct sockaddr_un un;

	assert_non_null(f);
	f->dir = support_tmpdir();
	write_config(f);
	make_dir(f, "mail");
	for (unsigned i = 0; i < accounts; i++)
		make_account(f, i);
	path_of(f, "notify.sock", &un);
	f->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(f->notify, (struct sockaddr *)&un, sizeof(un)), errno);
	return f;
}

static void flow_destroy(struct flow *f)
{
	close(f->notify);
	support_tmpdir_remove(f->dir);
	free(f);
}

static void run_child(const struct flow *f)
{
	const char *program = getenv("CHATMAILD");
	char *ini = support_path(f->dir, "chatmail.ini");
	struct sockaddr_un un;

	path_of(f, "notify.sock", &un);
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(program, program, "-c", ini, (char *)NULL);
	_exit(127);
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

static void start(struct flow *f)
{
	char message[512] = "";

	f->pid = fork();
	assert_return_code(f->pid, errno);
	if (f->pid == 0)
		run_child(f);
	while (!strstr(message, "READY=1")) {
		ssize_t n;

		wait_readable(f->notify);
		n = recv(f->notify, message, sizeof(message) - 1, 0);
		assert_true(n >= 0);
		message[n] = '\0';
	}
}

static void stop(struct flow *f, int sig)
{
	int status;

	assert_return_code(kill(f->pid, sig), errno);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	if (sig == SIGKILL)
		assert_true(WIFSIGNALED(status));
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	while (recv(f->notify, &status, sizeof(status), MSG_DONTWAIT) > 0)
		;
}

static int connect_to(const struct flow *f, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un un;

	path_of(f, name, &un);
	assert_return_code(connect(fd, (struct sockaddr *)&un, sizeof(un)), errno);
	return fd;
}

/* A commit of one set for an account, on a connection of its own. */
static int ask(const struct flow *f, unsigned account, const char *set)
{
	int fd = connect_to(f, "metadata.sock"), len;
	char request[256];

	len = snprintf(request, sizeof(request),
	    "H3\t2\t0\t\tmetadata\nB1\tnumber%03u@" DOMAIN "\nS1\tpriv/x/%s\nC1\n",
	    account, set);
	assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
	return fd;
}

/* Was it answered, by O? A reply that did not come is none. */
static bool is_told(int fd)
{
	char reply[8];
	ssize_t n;

	wait_readable(fd);
	n = recv(fd, reply, sizeof(reply), 0);
	close(fd);
	assert_true(n <= 0 || (n == 2 && memcmp(reply, "O\n", 2) == 0));
	return n == 2;
}

static sqlite3 *open_store(const struct flow *f)
{
	char *path = support_path(f->dir, "state/chatmaild.sqlite");
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, DEADLINE_MS);
	free(path);
	return db;
}

static bool waits(sqlite3 *db, unsigned account)
{
	sqlite3_stmt *stmt;
	char sql[128];
	bool found;

	snprintf(sql, sizeof(sql),
	    "SELECT 1 FROM pushes WHERE address = 'number%03u@" DOMAIN "'", account);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	found = sqlite3_step(stmt) == SQLITE_ROW;
	sqlite3_finalize(stmt);
	return found;
}

static void expect_all_told(const struct flow *f)
{
	sqlite3 *db = open_store(f);

	for (unsigned i = 0; i < ACCOUNTS; i++)
		if (f->told[i] && !waits(db, i))
			fail_msg("the hook of account %u was answered in vain", i);
	sqlite3_close(db);
}

/* One life: tokens, then hooks all at once, the kill when some are answered. */
static unsigned live_and_die(struct flow *f, unsigned life)
{
	unsigned first = life * HOOKS, told = 0;
	int fd[HOOKS];

	for (unsigned i = 0; i < HOOKS; i++)
		assert_true(is_told(ask(f, first + i, "devicetoken\tsome-token")));
	for (unsigned i = 0; i < HOOKS; i++)
		fd[i] = ask(f, first + i, "messagenew\t");
	for (unsigned i = 0; i < HOOKS; i++) {
		if (i == 2 + 3 * life)
			stop(f, SIGKILL);
		f->told[first + i] = is_told(fd[i]);
		told += f->told[first + i];
	}
	return told;
}

static void killed_before_sending(void **state)
{
	struct flow *f = flow_create(ACCOUNTS);

	for (unsigned life = 0; life < LIVES; life++) {
		start(f);
		assert_true(live_and_die(f, life) >= 2);
		expect_all_told(f);
	}
	start(f);
	stop(f, SIGTERM);
	expect_all_told(f);
	flow_destroy(f);
}

/* The value of a metric; -1 if it is not there. */
static long long scrape(const struct flow *f, const char *name)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
	char page[65536];
	int fd = connect_to(f, "http.sock");
	const char *at = page;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(
	    send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((n = recv(fd, page + len, sizeof(page) - 1 - len, 0)) > 0)
		len += (size_t)n;
	close(fd);
	page[len] = '\0';
	while ((at = strstr(at, name))) {
		at += strlen(name);
		if (at[0] == '{' && (at = strchr(at, '}')))
			return strtoll(at + 1, NULL, 10);
	}
	return -1;
}

#define INSERT_MANY                                                                    \
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"               \
	" WHERE i < 100000) INSERT INTO pushes (address, token, start, due, tries,"    \
	" version) SELECT 'number000@" DOMAIN                                          \
	"', i, unixepoch(), unixepoch() + 64, 1, 1"                                    \
	" FROM n"

/* All wait through a start and a stop, while others are served. */
static void many_wait(void **state)
{
	struct flow *f = flow_create(1);
	sqlite3 *db;

	start(f);
	stop(f, SIGTERM);
	db = open_store(f);
	assert_int_equal(sqlite3_exec(db, INSERT_MANY, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	start(f);
	assert_true(is_told(ask(f, 0, "devicetoken\tnew-token")));
	assert_true(is_told(ask(f, 0, "messagenew\t")));
	assert_int_equal(scrape(f, "chatmail_push_waiting"), MANY + 1);
	stop(f, SIGKILL);
	start(f);
	assert_int_equal(scrape(f, "chatmail_push_waiting"), MANY + 1);
	stop(f, SIGTERM);
	flow_destroy(f);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(killed_before_sending) },
		{ SUPPORT_TEST(many_wait) },
	};

	return support_run("flow_metadata", tests, ARRAY_LEN(tests));
}
