/* chatmaild/users.c and admission.c: find, make, remember. */
#include "chatmaild/users.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chatmaild/mailbox.h"
#include "chatmaild/store.h"
#include "chatmaild/worker.h"
#include "test/chatmaild/accounts.h"

#define USER "somebody1@" DOMAIN
#define HASH "{SHA512-CRYPT}$6$salt$hash"
#define PASS "a long password"

static void make_then_find(void **state)
{
	char made[PASSWORD_HASH_MAX], found[PASSWORD_HASH_MAX];
	const struct users_counters *n;
	struct accounts a;
	char *row;

	accounts_init(&a);
	assert_int_equal(accounts_find(&a, USER, found), USERS_ABSENT);
	assert_int_equal(accounts_make(&a, USER, PASS, made), USERS_FOUND);
	assert_int_equal(accounts_find(&a, USER, found), USERS_FOUND);
	assert_string_equal(made, found);
	row = accounts_sql(&a, "SELECT hash FROM users WHERE address = '" USER "'");
	assert_string_equal(row, made);
	free(row);
	n = users_counters(a.d.users);
	assert_int_equal(n->created, 1);
	assert_int_equal(n->creating, 0);
	assert_int_equal(n->known, 1);
	accounts_deinit(&a);
}

/* Absent names leave no trace, on the disk or in memory. */
static void strangers_write_nothing(void **state)
{
	char hash[PASSWORD_HASH_MAX], address[64];
	struct accounts a;
	char *rows;

	accounts_init(&a);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(address, sizeof(address), "nobody%03u@" DOMAIN, i);
		assert_int_equal(accounts_find(&a, address, hash), USERS_ABSENT);
	}
	assert_int_equal(users_counters(a.d.users)->known, 0);
	assert_int_equal(access(a.mailboxes, F_OK), -1);
	rows = accounts_sql(&a, "SELECT count(*) FROM users");
	assert_string_equal(rows, "0");
	free(rows);
	accounts_deinit(&a);
}

static const struct path_case {
	const char *name, *address;
} path_cases[] = {
	{ "empty", "" },
	{ "no @", "somebody1" },
	{ "dot", "." },
	{ "dot dot", ".." },
	{ "climbing", "../some@" DOMAIN },
	{ "slash", "some/body@" DOMAIN },
};

static void no_paths(void **state)
{
	const struct path_case *c = *state;
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	assert_int_equal(accounts_find(&a, c->address, hash), USERS_ABSENT);
	assert_int_equal(
	    users_login(a.d.users, span_of(c->address), 86400), USERS_ABSENT);
	accounts_deinit(&a);
}

/* Edited by hand, at once and with the same length: the next lookup sees it. */
static void edits_count_at_once(void **state)
{
	char hash[PASSWORD_HASH_MAX], edited[PASSWORD_HASH_MAX];
	struct accounts a;
	char *path;

	accounts_init(&a);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	path = accounts_path(&a, USER, "password");
	memcpy(edited, hash, sizeof(edited));
	for (char c = 'A'; c <= 'Z'; c++) {
		int fd = open(path, O_WRONLY);

		edited[50] = c;
		assert_int_equal(write(fd, edited, strlen(edited)), strlen(edited));
		close(fd);
		assert_int_equal(accounts_find(&a, USER, hash), USERS_FOUND);
		assert_string_equal(hash, edited);
	}

	support_write_file(path, span_of(""));
	assert_int_equal(accounts_find(&a, USER, hash), USERS_BLOCKED);
	support_write_file(path, span_of("secret"));
	assert_int_equal(accounts_find(&a, USER, hash), USERS_BLOCKED);
	support_write_file(path, span_of(HASH "\n"));
	assert_int_equal(accounts_find(&a, USER, hash), USERS_FOUND);
	assert_string_equal(hash, HASH);
	free(path);
	accounts_deinit(&a);
}

static void removed_and_made_again(void **state)
{
	char first[PASSWORD_HASH_MAX], second[PASSWORD_HASH_MAX];
	struct accounts a;
	char *path;

	accounts_init(&a);
	assert_int_equal(accounts_make(&a, USER, PASS, first), USERS_FOUND);
	path = accounts_path(&a, USER, "password");
	assert_return_code(unlink(path), errno);
	assert_int_equal(accounts_find(&a, USER, second), USERS_ABSENT);
	assert_int_equal(accounts_make(&a, USER, PASS, second), USERS_FOUND);
	assert_string_not_equal(first, second);
	free(path);
	accounts_deinit(&a);
}

/* A file that an older relay made is known without a row, and gets one. */
static void found_by_file_alone(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;
	char *row;

	accounts_init(&a);
	accounts_write(&a, "x@" DOMAIN, HASH);
	assert_int_equal(accounts_find(&a, "x@" DOMAIN, hash), USERS_FOUND);
	assert_string_equal(hash, HASH);
	accounts_stop(&a);
	accounts_start(&a);
	assert_false(a.fresh);
	row = accounts_sql(&a, "SELECT hash FROM users WHERE address = 'x@" DOMAIN "'");
	assert_string_equal(row, HASH);
	free(row);
	accounts_deinit(&a);
}

static const struct refused_case {
	const char *name, *address, *password;
	bool closed;
	double max_load;
	int64_t memory, disk;
	size_t counter;
} refused_cases[] = {
#define COUNTER(field) offsetof(struct users_counters, field)
	{ "switched off", USER, PASS, true, 1e9, 0, 0, COUNTER(refused_closed) },
	{ "switch before password", USER, "x", true, 1e9, 0, 0,
	    COUNTER(refused_closed) },
	{ "short password", USER, "12345678", false, 1e9, 0, 0,
	    COUNTER(refused_password) },
	{ "characters, not bytes", USER,
	    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", false,
	    1e9, 0, 0, COUNTER(refused_password) },
	{ "password before name", "x@" DOMAIN, "x", false, 1e9, 0, 0,
	    COUNTER(refused_password) },
	{ "two @", "some@body1@" DOMAIN, PASS, false, 1e9, 0, 0,
	    COUNTER(refused_name) },
	{ "short name", "somebody@" DOMAIN, PASS, false, 1e9, 0, 0,
	    COUNTER(refused_name) },
	{ "long name", "somebody10@" DOMAIN, PASS, false, 1e9, 0, 0,
	    COUNTER(refused_name) },
	{ "upper case", "Somebody1@" DOMAIN, PASS, false, 1e9, 0, 0,
	    COUNTER(refused_name) },
	{ "plus", "some+ody1@" DOMAIN, PASS, false, 1e9, 0, 0, COUNTER(refused_name) },
	{ "only dots", ".........@" DOMAIN, PASS, false, 1e9, 0, 0, 0 },
	{ "load", USER, PASS, false, -1, 1 << 30, 1 << 30, COUNTER(refused_load) },
	{ "memory", USER, PASS, false, 1e9, 1 << 30, 1 << 30, COUNTER(refused_memory) },
	{ "disk", USER, PASS, false, 1e9, 0, 1LL << 40, COUNTER(refused_disk) },
};

static void refused(void **state)
{
	const struct refused_case *c = *state;
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;
	uint64_t count;

	accounts_init(&a);
	a.config.max_load_1m = c->max_load;
	a.config.min_available_memory = c->memory;
	a.config.min_free_disk_space = c->disk;
	if (c->closed)
		support_write_file(a.closed_file, span_of(""));
	assert_int_equal(
	    accounts_make(&a, c->address, c->password, hash), USERS_REFUSED);
	assert_int_equal(accounts_find(&a, c->address, hash), USERS_ABSENT);
	assert_int_equal(access(a.mailboxes, F_OK), -1);
	if (c->counter) {
		memcpy(&count, (const char *)users_counters(a.d.users) + c->counter,
		    sizeof(count));
		assert_int_equal(count, 1);
	}
	accounts_deinit(&a);
}

static void longest_password(void **state)
{
	char password[PASSWORD_MAX + 2], hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	memset(password, 'x', sizeof(password));
	password[PASSWORD_MAX + 1] = '\0';
	assert_int_equal(accounts_make(&a, USER, password, hash), USERS_REFUSED);
	password[PASSWORD_MAX] = '\0';
	assert_int_equal(accounts_make(&a, USER, password, hash), USERS_FOUND);
	accounts_deinit(&a);
}

static const struct window_case {
	const char *name, *address;
	enum users_answer answer;
} window_cases[] = {
	{ "5", "abcde@" DOMAIN, USERS_REFUSED },
	{ "6", "abcdef@" DOMAIN, USERS_FOUND },
	{ "7", "abcdefg@" DOMAIN, USERS_FOUND },
	{ "10", "abcdefghij@" DOMAIN, USERS_FOUND },
	{ "11", "abcdefghijk@" DOMAIN, USERS_REFUSED },
};

static void name_window(void **state)
{
	const struct window_case *c = *state;
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	a.config.username_min_length = 6;
	a.config.username_max_length = 10;
	assert_int_equal(accounts_make(&a, c->address, PASS, hash), c->answer);
	accounts_deinit(&a);
}

/* A reading that fails is skipped, the others still count. */
static void readings_fail(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct admission_control *control;
	struct accounts a;

	accounts_init(&a);
	control = users_admission(a.d.users);
	control->loadavg = "/nonexistent";
	control->meminfo = "/nonexistent";
	a.config.max_load_1m = -1;
	a.config.min_available_memory = 1 << 30;
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	control->read_at_ms = 0;
	a.config.min_free_disk_space = 1LL << 40;
	assert_int_equal(
	    accounts_make(&a, "somebody2@" DOMAIN, PASS, hash), USERS_REFUSED);
	accounts_deinit(&a);
}

/* Monitoring reads these lines: to the letter. */
static const struct line_case {
	const char *name;
	double max_load;
	int64_t memory;
	const char *line;
} line_cases[] = {
	{ "load", 5, 200, "registration rejected: load avg 6.20 > 5.00\n" },
	{ "load at the limit, memory", 6.2, 200,
	    "registration rejected: available memory 150MB < 200MB\n" },
	{ "memory at the limit", 6.2, 150, "Created address: " USER "\n" },
};

static void log_lines(void **state)
{
	const struct line_case *c = *state;
	char hash[PASSWORD_HASH_MAX];
	struct admission_control *control;
	struct support_text text;
	struct accounts a;
	char *loadavg, *meminfo, *log;
	int saved, fd;

	accounts_init(&a);
	control = users_admission(a.d.users);
	control->loadavg = loadavg = support_path(a.dir, "loadavg");
	control->meminfo = meminfo = support_path(a.dir, "meminfo");
	support_write_file(loadavg, span_of("6.20 1.00 0.50 1/100 12345\n"));
	support_write_file(meminfo,
	    span_of(
		"MemTotal:  999999 kB\nMemFree:  5 kB\nMemAvailable:  154000 kB\n"));
	a.config.max_load_1m = c->max_load;
	a.config.min_available_memory = c->memory;

	log = support_path(a.dir, "log");
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	saved = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	accounts_make(&a, USER, PASS, hash);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	text = support_read_file(log);
	assert_non_null(strstr(text.data, c->line));
	free(text.data);
	free(log);
	free(loadavg);
	free(meminfo);
	accounts_deinit(&a);
}

struct crowd {
	unsigned left;
	bool differ;
	char hash[PASSWORD_HASH_MAX];
};

static void on_crowd(void *arg, enum users_answer answer, const struct user *user)
{
	struct crowd *c = arg;

	assert_int_equal(answer, USERS_FOUND);
	if (c->hash[0] == '\0')
		memcpy(c->hash, user->hash, strlen(user->hash) + 1);
	c->differ |= strcmp(c->hash, user->hash) != 0;
	c->left--;
}

static bool crowd_served(void *arg)
{
	const struct crowd *c = arg;

	return c->left == 0;
}

/* Fifty logins for one new address: one hash, the first one's, for all. */
static void one_creation_for_all(void **state)
{
	struct crowd crowd = { .left = 50 };
	char password[32], hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(password, sizeof(password), "password no. %u", i);
		assert_int_equal(accounts_find(&a, USER, hash), USERS_ABSENT);
		users_make(a.d.users, span_of(USER), span_of(password), NULL, on_crowd,
		    &crowd);
	}
	assert_int_equal(users_counters(a.d.users)->creating, 1);
	support_loop(a.d.base, crowd_served, &crowd);
	assert_false(crowd.differ);
	assert_int_equal(users_counters(a.d.users)->created, 1);
	assert_int_equal(accounts_find(&a, USER, hash), USERS_FOUND);
	assert_string_equal(hash, crowd.hash);
	accounts_deinit(&a);
}

static void many_creations(void **state)
{
	struct crowd crowd[50] = { 0 };
	struct accounts a;

	accounts_init(&a);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 50; i++) {
			char address[64];

			snprintf(address, sizeof(address), "number%03u@" DOMAIN, i);
			crowd[i].left++;
			users_make(a.d.users, span_of(address), span_of(PASS), NULL,
			    on_crowd, &crowd[i]);
		}
	}
	for (unsigned i = 0; i < 50; i++) {
		support_loop(a.d.base, crowd_served, &crowd[i]);
		assert_false(crowd[i].differ);
	}
	assert_int_equal(users_counters(a.d.users)->created, 50);
	accounts_deinit(&a);
}

static bool is_hashing(void *arg)
{
	const struct accounts *a = arg;

	return workers_queued(a->d.hashers) > 0;
}

/* The daemon stops while accounts are made: who is told, is told the truth. */
static void stop_during_creation(void **state)
{
	struct crowd crowd = { .left = 1 };
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	users_make(a.d.users, span_of(USER), span_of(PASS), NULL, on_crowd, &crowd);
	support_loop(a.d.base, is_hashing, &a);
	accounts_stop(&a);
	assert_int_equal(crowd.left, 0);
	accounts_start(&a);
	assert_int_equal(accounts_find(&a, USER, hash), USERS_FOUND);
	assert_string_equal(hash, crowd.hash);
	accounts_deinit(&a);
}

static void on_trouble(void *arg, enum users_answer answer, const struct user *user)
{
	unsigned *told = arg;

	assert_int_equal(answer, USERS_TROUBLE);
	++*told;
}

/* Nothing is begun any more. */
static void stop_before_creation(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	unsigned told = 0;
	struct accounts a;

	accounts_init(&a);
	users_make(a.d.users, span_of(USER), span_of(PASS), NULL, on_trouble, &told);
	accounts_stop(&a);
	assert_int_equal(told, 1);
	accounts_start(&a);
	assert_int_equal(accounts_find(&a, USER, hash), USERS_ABSENT);
	accounts_deinit(&a);
}

/* Nobody looked before: what is there decides, whatever the policy says of new ones. */
static const struct there_case {
	const char *name, *file;
	enum users_answer answer;
} there_cases[] = {
	{ "usable", "{PLAIN}stored", USERS_FOUND },
	{ "empty", "", USERS_BLOCKED },
	{ "no hash", "cleartext", USERS_BLOCKED },
	{ "absent", NULL, USERS_REFUSED },
};

static void make_what_is_there(void **state)
{
	const struct there_case *c = *state;
	char hash[PASSWORD_HASH_MAX] = "";
	struct accounts a;

	accounts_init(&a);
	if (c->file)
		accounts_write(&a, USER, c->file);
	support_write_file(a.closed_file, span_of(""));
	assert_int_equal(accounts_make(&a, USER, "short", hash), c->answer);
	assert_string_equal(hash, c->answer == USERS_FOUND ? c->file : "");
	assert_int_equal(users_counters(a.d.users)->created, 0);
	assert_int_equal(users_counters(a.d.users)->refused_closed, !c->file);
	accounts_deinit(&a);
}

static bool is_unseen(void *arg)
{
	const struct accounts *a = arg;

	return users_is_unseen(a->d.users, span_of("stranger1@" DOMAIN));
}

/* Only when the cache is known to hold everybody. */
static void unseen(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	assert_false(users_is_unseen(a.d.users, span_of(USER)));
	accounts_stop(&a);
	accounts_start(&a);
	assert_false(is_unseen(&a));
	support_loop(a.d.base, is_unseen, &a);
	assert_false(users_is_unseen(a.d.users, span_of(USER)));

	a.config.user_cache_size = 0; /* full: some may have been forgotten */
	users_reload(a.d.users);
	assert_false(is_unseen(&a));
	accounts_deinit(&a);
}

/* An account that is looked for by a login is there for others meanwhile. */
static void found_while_looking(void **state)
{
	struct crowd crowd = { .left = 1 };
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	accounts_write(&a, USER, "{PLAIN}stored");
	users_make(a.d.users, span_of(USER), span_of(PASS), NULL, on_crowd, &crowd);
	assert_int_equal(crowd.left, 1);
	assert_int_equal(accounts_find(&a, USER, hash), USERS_FOUND);
	support_loop(a.d.base, crowd_served, &crowd);
	assert_string_equal(crowd.hash, "{PLAIN}stored");
	accounts_deinit(&a);
}

/* A directory that cannot be made: temporary failure, and it works once it can. */
static void disk_trouble(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	support_write_file(
	    a.mailboxes, span_of("a file where the directory should be"));
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_TROUBLE);
	assert_int_equal(users_counters(a.d.users)->create_failed, 1);
	assert_int_equal(users_counters(a.d.users)->creating, 0);
	assert_return_code(unlink(a.mailboxes), errno);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	accounts_deinit(&a);
}

/* The row cannot be committed: the files go again, nothing is half. */
static void store_trouble(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;
	sqlite3 *other;
	char *file, *box;

	accounts_init(&a);
	file = support_path(a.config.state_dir, STORE_FILE);
	box = support_path(a.mailboxes, USER);
	assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_TROUBLE);
	assert_int_equal(access(box, F_OK), -1);
	assert_int_equal(accounts_find(&a, USER, hash), USERS_ABSENT);
	sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(other);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	free(file);
	free(box);
	accounts_deinit(&a);
}

/* A password file comes from elsewhere between lookup and creation: it decides. */
static void made_elsewhere(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;

	accounts_init(&a);
	accounts_write(&a, USER, HASH);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	assert_string_equal(hash, HASH);
	accounts_write(&a, "somebody2@" DOMAIN, "");
	assert_int_equal(
	    accounts_make(&a, "somebody2@" DOMAIN, PASS, hash), USERS_BLOCKED);
	assert_int_equal(users_counters(a.d.users)->created, 0);
	accounts_deinit(&a);
}

/* Known accounts are in memory after a start, without being asked for. */
static bool warm(void *arg)
{
	struct accounts *a = arg;

	return users_counters(a->d.users)->known == 20;
}

static void warm_after_start(void **state)
{
	char hash[PASSWORD_HASH_MAX], address[64];
	struct crowd crowd = { .left = 0 };
	struct accounts a;

	accounts_init(&a);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(address, sizeof(address), "number%03u@" DOMAIN, i);
		crowd.left++;
		users_make(
		    a.d.users, span_of(address), span_of(PASS), NULL, on_crowd, &crowd);
	}
	support_loop(a.d.base, crowd_served, &crowd);
	accounts_stop(&a);
	accounts_start(&a);
	assert_int_equal(users_counters(a.d.users)->known, 0);
	assert_int_equal(accounts_find(&a, "number007@" DOMAIN, hash), USERS_FOUND);
	support_loop(a.d.base, warm, &a);
	assert_int_equal(accounts_find(&a, "number008@" DOMAIN, hash), USERS_FOUND);
	assert_int_equal(users_counters(a.d.users)->hits, 1);
	accounts_deinit(&a);
}

static void login_days(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct accounts a;
	struct stat st;
	char *path, *day;

	accounts_init(&a);
	assert_int_equal(users_login(a.d.users, span_of(USER), 100000), USERS_ABSENT);
	assert_int_equal(accounts_make(&a, USER, PASS, hash), USERS_FOUND);
	assert_int_equal(users_login(a.d.users, span_of(USER), 100000), USERS_FOUND);
	path = accounts_path(&a, USER, "password");
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(st.st_mtim.tv_sec, 86400);
	assert_int_equal(accounts_find(&a, USER, hash), USERS_FOUND);
	accounts_stop(&a);
	accounts_start(&a);
	day = accounts_sql(
	    &a, "SELECT last_login_day || ' ' || (created_day > 0) FROM users");
	assert_string_equal(day, "1 1");
	free(day);
	free(path);
	accounts_deinit(&a);
}

/*
 * kill -9 at any moment: a child makes accounts and reports each that it was told of;
 * all of these exist afterwards, with that hash, and no other is half made.
 */
struct report {
	char address[64], hash[PASSWORD_HASH_MAX];
};

static void report_made(void *arg, enum users_answer answer, const struct user *user)
{
	struct report r = { 0 };
	const int *pipe_end = arg;

	if (answer != USERS_FOUND)
		_exit(1);
	memcpy(r.address, user->address, strlen(user->address));
	memcpy(r.hash, user->hash, strlen(user->hash));
	if (write(*pipe_end, &r, sizeof(r)) != sizeof(r))
		_exit(1);
}

static void make_until_killed(struct accounts *a, int pipe_end)
{
	accounts_start(a);
	for (unsigned i = 0; i < 500; i++) {
		char address[64];

		snprintf(address, sizeof(address), "number%03u@" DOMAIN, i);
		users_make(a->d.users, span_of(address), span_of(PASS), NULL,
		    report_made, &pipe_end);
	}
	event_base_dispatch(a->d.base);
	_exit(1);
}

static void killed_while_making(void **state)
{
	struct report made[64];
	struct accounts a;
	unsigned n = 0;
	int fd[2], status;
	pid_t child;

	accounts_init(&a);
	accounts_stop(&a);
	assert_return_code(pipe(fd), errno);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		close(fd[0]);
		make_until_killed(&a, fd[1]);
	}
	close(fd[1]);
	while (n < 40 && read(fd[0], &made[n], sizeof(made[n])) == sizeof(made[n]))
		n++;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	while (n < ARRAY_LEN(made) &&
	       read(fd[0], &made[n], sizeof(made[n])) == sizeof(made[n]))
		n++;
	close(fd[0]);
	assert_true(n >= 40);
	assert_true(WIFSIGNALED(status));

	accounts_start(&a);
	for (unsigned i = 0; i < n; i++) {
		char hash[PASSWORD_HASH_MAX], sql[256];
		char *row;

		assert_int_equal(accounts_find(&a, made[i].address, hash), USERS_FOUND);
		assert_string_equal(hash, made[i].hash);
		snprintf(sql, sizeof(sql),
		    "SELECT hash FROM users WHERE address = '%s'", made[i].address);
		row = accounts_sql(&a, sql);
		assert_string_equal(row, hash);
		free(row);
	}
	for (unsigned i = 0; i < 500; i++) {
		char hash[PASSWORD_HASH_MAX], address[64];
		enum users_answer answer;

		snprintf(address, sizeof(address), "number%03u@" DOMAIN, i);
		answer = accounts_find(&a, address, hash);
		assert_true(answer == USERS_FOUND || answer == USERS_ABSENT);
	}
	accounts_deinit(&a);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(killed_while_making) },
		{ SUPPORT_TEST(make_then_find) },
		{ SUPPORT_TEST(strangers_write_nothing) },
		{ SUPPORT_TABLE(no_paths, path_cases) },
		{ SUPPORT_TEST(edits_count_at_once) },
		{ SUPPORT_TEST(removed_and_made_again) },
		{ SUPPORT_TEST(found_by_file_alone) },
		{ SUPPORT_TABLE(refused, refused_cases) },
		{ SUPPORT_TEST(longest_password) },
		{ SUPPORT_TABLE(name_window, window_cases) },
		{ SUPPORT_TEST(readings_fail) },
		{ SUPPORT_TABLE(log_lines, line_cases) },
		{ SUPPORT_TEST(one_creation_for_all) },
		{ SUPPORT_TEST(many_creations) },
		{ SUPPORT_TEST(stop_during_creation) },
		{ SUPPORT_TEST(stop_before_creation) },
		{ SUPPORT_TABLE(make_what_is_there, there_cases) },
		{ SUPPORT_TEST(unseen) },
		{ SUPPORT_TEST(found_while_looking) },
		{ SUPPORT_TEST(disk_trouble) },
		{ SUPPORT_TEST(store_trouble) },
		{ SUPPORT_TEST(made_elsewhere) },
		{ SUPPORT_TEST(warm_after_start) },
		{ SUPPORT_TEST(login_days) },
	};

	return support_run("users", tests, ARRAY_LEN(tests));
}
