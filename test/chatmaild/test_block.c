/* chatmaild/block.c: a password file that nobody fits, and back. */
#include "chatmaild/block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chatmaild/mailbox.h"
#include "test/support.h"

#define USER  "someone12@chat.example"
#define HASH  "{SHA512-CRYPT}$6$salt$hash"
#define LOGIN 1700006400

struct place {
	char *dir, *box, *file;
};

static void place_init(struct place *p, const char *text)
{
	const struct timespec times[2] = { { LOGIN, 0 }, { LOGIN, 0 } };

	p->dir = support_tmpdir();
	p->box = support_path(p->dir, USER);
	p->file = support_path(p->box, "password");
	assert_return_code(mkdir(p->box, 0700), errno);
	if (!text)
		return;
	support_write_file(p->file, span_of(text));
	assert_return_code(utimensat(AT_FDCWD, p->file, times, 0), errno);
}

static void place_deinit(struct place *p)
{
	support_tmpdir_remove(p->dir);
	free(p->box);
	free(p->file);
}

static void expect_file(const struct place *p, const char *want)
{
	struct support_text got = support_read_file(p->file);
	struct stat st;

	support_assert_span(span_make(got.data, got.len), span_of(want));
	free(got.data);
	assert_return_code(stat(p->file, &st), errno);
	assert_int_equal(st.st_mtim.tv_sec, LOGIN); /* no login took place */
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void there_and_back(void **state)
{
	char hash[PASSWORD_HASH_MAX];
	struct mailbox_stamp stamp;
	struct place p;

	place_init(&p, HASH);
	assert_return_code(block_account(p.dir, USER), errno);
	expect_file(&p, "!" HASH);
	assert_int_equal(
	    mailbox_read(p.dir, USER, hash, &stamp, NULL), MAILBOX_BLOCKED);
	assert_int_equal(block_account(p.dir, USER), -1);
	assert_int_equal(errno, EALREADY);
	expect_file(&p, "!" HASH);

	assert_return_code(unblock_account(p.dir, USER), errno);
	expect_file(&p, HASH);
	assert_int_equal(unblock_account(p.dir, USER), -1);
	assert_int_equal(errno, EALREADY);
	place_deinit(&p);
}

static const struct odd_case {
	const char *name, *text; /* NULL: no file */
	int block, unblock;      /* errno */
	const char *after;
} odd_cases[] = {
	{ "line end", HASH "\n", 0, 0, HASH },
	{ "no account", NULL, ENOENT, ENOENT, NULL },
	{ "empty", "", EALREADY, EINVAL, "" },
	{ "words", "blocked by me", EALREADY, EINVAL, "blocked by me" },
	{ "mark alone", "!", EALREADY, EINVAL, "!" },
	{ "two marks", "!!" HASH, EALREADY, EINVAL, "!!" HASH },
};

static void odd_files(void **state)
{
	const struct odd_case *c = *state;
	struct place p;

	place_init(&p, c->text);
	errno = 0;
	assert_int_equal(block_account(p.dir, USER), c->block ? -1 : 0);
	if (c->block)
		assert_int_equal(errno, c->block);
	assert_int_equal(unblock_account(p.dir, USER), c->unblock ? -1 : 0);
	if (c->unblock)
		assert_int_equal(errno, c->unblock);
	if (c->after)
		expect_file(&p, c->after);
	place_deinit(&p);
}

static void links_are_not_followed(void **state)
{
	struct place p;
	char *elsewhere;

	place_init(&p, NULL);
	elsewhere = support_path(p.dir, "elsewhere");
	support_write_file(elsewhere, span_of(HASH));
	assert_return_code(symlink(elsewhere, p.file), errno);
	assert_int_equal(block_account(p.dir, USER), -1);
	assert_int_equal(block_account(p.dir, "nobody123@chat.example"), -1);
	assert_int_equal(errno, ENOENT);
	free(elsewhere);
	place_deinit(&p);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(there_and_back) },
		{ SUPPORT_TABLE(odd_files, odd_cases) },
		{ SUPPORT_TEST(links_are_not_followed) },
	};

	return support_run("block", tests, ARRAY_LEN(tests));
}
