/* chatmaild/mailbox.c on a real directory. */
#include "chatmaild/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/support.h"

#define ADDRESS "somebody1@chat.example"
#define HASH    "{SHA512-CRYPT}$6$salt$hash"

struct box {
	char *dir, *path, *password, *flag, *tmp;
};

static void box_init(struct box *b)
{
	b->dir = support_tmpdir();
	b->path = support_path(b->dir, ADDRESS);
	b->password = support_path(b->path, "password");
	b->flag = support_path(b->path, "enforceE2EEincoming");
	b->tmp = support_path(b->path, "password.tmp-chatmaild");
}

static void box_deinit(struct box *b)
{
	free(b->path);
	free(b->password);
	free(b->flag);
	free(b->tmp);
	support_tmpdir_remove(b->dir);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_return_code(lstat(path, &st), errno);
	return st.st_mode & 07777;
}

static void make_and_read(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp made, seen, read;
	struct box b;

	box_init(&b);
	assert_int_equal(mailbox_stat(b.dir, ADDRESS, &seen), MAILBOX_ABSENT);
	assert_false(mailbox_enforces(b.dir, ADDRESS));
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &made), errno);

	assert_int_equal(mailbox_stat(b.dir, ADDRESS, &seen), MAILBOX_USABLE);
	assert_int_equal(
	    mailbox_read(b.dir, ADDRESS, hash, &read, NULL), MAILBOX_USABLE);
	assert_true(mailbox_stamp_equal(&made, &seen));
	assert_true(mailbox_stamp_equal(&made, &read));
	assert_string_equal(hash, HASH);
	assert_true(mailbox_enforces(b.dir, ADDRESS));
	assert_false(exists(b.tmp));
	assert_int_equal(mode_of(b.path), 0700);
	assert_int_equal(mode_of(b.password), 0600);
	assert_int_equal(mode_of(b.flag), 0600);
	box_deinit(&b);
}

static void make_parents(void **state)
{
	struct mailbox_stamp stamp;
	struct box b;
	char *deep;

	box_init(&b);
	deep = support_path(b.dir, "home/vmail/mail");
	assert_return_code(mailbox_make(deep, ADDRESS, HASH, &stamp), errno);
	assert_int_equal(mailbox_stat(deep, ADDRESS, &stamp), MAILBOX_USABLE);
	assert_int_equal(mode_of(deep), 0700);
	free(deep);
	box_deinit(&b);
}

static void make_never_replaces(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	struct box b;

	box_init(&b);
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	assert_int_equal(mailbox_make(b.dir, ADDRESS, "{PLAIN}other", &stamp), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(
	    mailbox_read(b.dir, ADDRESS, hash, &stamp, NULL), MAILBOX_USABLE);
	assert_string_equal(hash, HASH);
	assert_true(exists(b.flag));
	assert_false(exists(b.tmp));
	box_deinit(&b);
}

/* What a crash left half-way does not stop the next try. */
static void make_over_leftovers(void **state)
{
	struct mailbox_stamp stamp;
	struct box b;

	box_init(&b);
	assert_return_code(mkdir(b.path, 0700), errno);
	support_write_file(b.tmp, span_of("half a ha"));
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	assert_int_equal(mailbox_stat(b.dir, ADDRESS, &stamp), MAILBOX_USABLE);
	assert_false(exists(b.tmp));
	box_deinit(&b);
}

/* A file where a directory belongs; for root, too, that is an error. */
static void make_blocked_by_file(void **state)
{
	struct mailbox_stamp stamp;
	struct box b;

	box_init(&b);
	support_write_file(b.path, span_of("in the way"));
	assert_int_equal(mailbox_stat(b.dir, ADDRESS, &stamp), MAILBOX_ABSENT);
	assert_int_equal(mailbox_make(b.dir, ADDRESS, HASH, &stamp), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(mailbox_make(b.path, ADDRESS, HASH, &stamp), -1);
	box_deinit(&b);
}

/* The disk takes no more bytes: nothing is left of the account. */
static void make_on_full_disk(void **state)
{
	struct rlimit old, none = { 0, 0 };
	struct mailbox_stamp stamp;
	struct box b;
	int rc, error;

	box_init(&b);
	assert_return_code(getrlimit(RLIMIT_FSIZE, &old), errno);
	none.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_return_code(setrlimit(RLIMIT_FSIZE, &none), errno);
	rc = mailbox_make(b.dir, ADDRESS, HASH, &stamp);
	error = errno;
	assert_return_code(setrlimit(RLIMIT_FSIZE, &old), errno);

	assert_int_equal(rc, -1);
	assert_int_equal(error, EFBIG);
	assert_false(exists(b.path));
	box_deinit(&b);
}

/* However few descriptors are left: all or nothing. */
static void make_without_descriptors(void **state)
{
	struct rlimit before, few;
	struct mailbox_stamp stamp;
	unsigned refused = 0;
	bool made = false;
	struct box b;

	box_init(&b);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	few = before;
	few.rlim_cur = (rlim_t)dup(STDIN_FILENO);
	close((int)few.rlim_cur);
	for (; !made; few.rlim_cur++) {
		assert_return_code(setrlimit(RLIMIT_NOFILE, &few), errno);
		made = mailbox_make(b.dir, ADDRESS, HASH, &stamp) == 0;
		assert_true(made || errno == EMFILE);
		assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
		if (!made) {
			assert_false(exists(b.path));
			refused++;
		}
	}
	assert_in_range(refused, 2, 5);
	box_deinit(&b);
}

static void unmake_new_account(void **state)
{
	struct mailbox_stamp stamp;
	struct box b;

	box_init(&b);
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	mailbox_unmake(b.dir, ADDRESS, &stamp);
	assert_false(exists(b.path));
	assert_true(exists(b.dir));
	box_deinit(&b);
}

/* Mail of an account whose password was removed stays, and so does its flag. */
static void unmake_spares_others(void **state)
{
	struct mailbox_stamp stamp;
	struct box b;
	char *cur;

	box_init(&b);
	cur = support_path(b.path, "cur");
	assert_return_code(mkdir(b.path, 0700), errno);
	assert_return_code(mkdir(cur, 0700), errno);
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	mailbox_unmake(b.dir, ADDRESS, &stamp);
	assert_false(exists(b.password));
	assert_true(exists(cur));
	assert_true(exists(b.flag));
	free(cur);
	box_deinit(&b);
}

static void unmake_of_changed_file(void **state)
{
	struct mailbox_stamp stamp;
	struct box b;

	box_init(&b);
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	stamp.inode++;
	mailbox_unmake(b.dir, ADDRESS, &stamp);
	assert_true(exists(b.password));
	box_deinit(&b);
}

enum kind { FILE_TEXT, NO_FILE, SYMLINK, DIRECTORY, FIFO, SOCKET };

static const struct read_case {
	const char *name;
	enum kind kind;
	const char *text;
	enum mailbox_state state;
	const char *hash;
} read_cases[] = {
	{ "usable", FILE_TEXT, "{PLAIN}x", MAILBOX_USABLE, "{PLAIN}x" },
	{ "final LF", FILE_TEXT, "{PLAIN}x\n", MAILBOX_USABLE, "{PLAIN}x" },
	{ "trailing blank kept", FILE_TEXT, "{PLAIN}x ", MAILBOX_USABLE, "{PLAIN}x " },
	{ "missing", NO_FILE, "", MAILBOX_ABSENT, NULL },
	{ "empty", FILE_TEXT, "", MAILBOX_BLOCKED, NULL },
	{ "only LF", FILE_TEXT, "\n", MAILBOX_BLOCKED, NULL },
	{ "two LF", FILE_TEXT, "{PLAIN}x\n\n", MAILBOX_BLOCKED, NULL },
	{ "clear text", FILE_TEXT, "secret", MAILBOX_BLOCKED, NULL },
	{ "symbolic link", SYMLINK, "", MAILBOX_BLOCKED, NULL },
	{ "directory", DIRECTORY, "", MAILBOX_BLOCKED, NULL },
	{ "FIFO", FIFO, "", MAILBOX_BLOCKED, NULL },
	{ "socket", SOCKET, "", MAILBOX_BLOCKED, NULL },
};

static void make_socket(const char *dir)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int here = open(".", O_PATH | O_DIRECTORY);

	strcpy(un.sun_path, "password");
	assert_return_code(chdir(dir), errno);
	assert_return_code(bind(fd, (struct sockaddr *)&un, sizeof(un)), errno);
	assert_return_code(fchdir(here), errno);
	close(here);
	close(fd);
}

static void make_kind(const struct box *b, const struct read_case *c)
{
	assert_return_code(mkdir(b->path, 0700), errno);
	switch (c->kind) {
	case FILE_TEXT:
		support_write_file(b->password, span_of(c->text));
		break;
	case NO_FILE:
		break;
	case SYMLINK:
		support_write_file(b->tmp, span_of(HASH));
		assert_return_code(symlink(b->tmp, b->password), errno);
		break;
	case DIRECTORY:
		assert_return_code(mkdir(b->password, 0700), errno);
		break;
	case FIFO:
		assert_return_code(mkfifo(b->password, 0600), errno);
		break;
	case SOCKET:
		make_socket(b->path);
		break;
	}
}

static void read_kinds(void **state)
{
	const struct read_case *c = *state;
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	struct box b;
	int fd;

	box_init(&b);
	make_kind(&b, c);
	assert_int_equal(mailbox_read(b.dir, ADDRESS, hash, &stamp, NULL), c->state);
	if (c->hash)
		assert_string_equal(hash, c->hash);
	fd = open(b.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mailbox_read_at(fd, ADDRESS, hash, &stamp, NULL), c->state);
	close(fd);
	box_deinit(&b);
}

static void read_long(void **state)
{
	char text[PASSWORD_HASH_MAX + 2], hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	struct box b;

	memset(text, 'x', sizeof(text));
	memcpy(text, "{A}", 3);
	box_init(&b);
	assert_return_code(mkdir(b.path, 0700), errno);
	text[PASSWORD_HASH_MAX - 1] = '\n';
	support_write_file(b.password, span_make(text, PASSWORD_HASH_MAX));
	assert_int_equal(
	    mailbox_read(b.dir, ADDRESS, hash, &stamp, NULL), MAILBOX_USABLE);
	assert_int_equal(strlen(hash), PASSWORD_HASH_MAX - 1);
	text[PASSWORD_HASH_MAX - 1] = 'x';
	support_write_file(b.password, span_make(text, PASSWORD_HASH_MAX));
	assert_int_equal(
	    mailbox_read(b.dir, ADDRESS, hash, &stamp, NULL), MAILBOX_BLOCKED);
	support_write_file(b.password, span_make(text, sizeof(text)));
	assert_int_equal(mailbox_stat(b.dir, ADDRESS, &stamp), MAILBOX_BLOCKED);
	box_deinit(&b);
}

/* A walk follows no symbolic link; a lookup may, an operator can place a mailbox so. */
static void linked_box(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	struct box b;
	char *link;
	int fd;

	box_init(&b);
	link = support_path(b.dir, "linked@chat.example");
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	assert_return_code(symlink(b.path, link), errno);
	fd = open(b.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mailbox_read_at(fd, "linked@chat.example", hash, &stamp, NULL),
	    MAILBOX_ABSENT);
	assert_int_equal(mailbox_read(b.dir, "linked@chat.example", hash, &stamp, NULL),
	    MAILBOX_USABLE);
	close(fd);
	free(link);
	box_deinit(&b);
}

static const struct touch_case {
	const char *name;
	int64_t seconds, mtime;
} touch_cases[] = {
	{ "epoch", 0, 0 },
	{ "within the first day", 86399, 0 },
	{ "second day", 100000, 86400 },
	{ "third day", 200000, 172800 },
	{ "today's figures", 1700000000, 1699920000 },
};

static void touch(void **state)
{
	const struct touch_case *c = *state;
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	int64_t last_login = -1;
	struct stat st;
	struct box b;

	box_init(&b);
	assert_int_equal(mailbox_touch(b.dir, ADDRESS, c->seconds), -1);
	assert_int_equal(errno, ENOENT);
	assert_return_code(mailbox_make(b.dir, ADDRESS, HASH, &stamp), errno);
	assert_int_equal(mailbox_touch(b.dir, ADDRESS, c->seconds), 1);
	assert_int_equal(mailbox_touch(b.dir, ADDRESS, c->seconds), 0);
	assert_return_code(lstat(b.password, &st), errno);
	assert_int_equal(st.st_mtim.tv_sec, c->mtime);
	assert_int_equal(st.st_atim.tv_sec, c->mtime);
	assert_int_equal(
	    mailbox_read(b.dir, ADDRESS, hash, &stamp, &last_login), MAILBOX_USABLE);
	assert_int_equal(last_login, c->mtime);
	box_deinit(&b);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(make_and_read) },
		{ SUPPORT_TEST(make_parents) },
		{ SUPPORT_TEST(make_never_replaces) },
		{ SUPPORT_TEST(make_over_leftovers) },
		{ SUPPORT_TEST(make_blocked_by_file) },
		{ SUPPORT_TEST(make_on_full_disk) },
		{ SUPPORT_TEST(make_without_descriptors) },
		{ SUPPORT_TEST(unmake_new_account) },
		{ SUPPORT_TEST(unmake_spares_others) },
		{ SUPPORT_TEST(unmake_of_changed_file) },
		{ SUPPORT_TABLE(read_kinds, read_cases) },
		{ SUPPORT_TEST(read_long) },
		{ SUPPORT_TEST(linked_box) },
		{ SUPPORT_TABLE(touch, touch_cases) },
	};

	return support_run("mailbox", tests, ARRAY_LEN(tests));
}
