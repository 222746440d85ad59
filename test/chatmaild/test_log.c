/* Lines on stderr: prefixes, levels, bounds. */
#include "chatmaild/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

/* Stderr goes to a file while a test runs. */
struct capture {
	char *dir, *path;
	int saved;
};

static struct capture capture_begin(void)
{
	struct capture c = { .dir = support_tmpdir(), .saved = dup(STDERR_FILENO) };
	int fd;

	c.path = support_path(c.dir, "stderr");
	fd = open(c.path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	assert_true(c.saved >= 0 && fd >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_INFO);
	return c;
}

static struct support_text capture_end(struct capture *c)
{
	struct support_text text;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	text = support_read_file(c->path);
	free(c->path);
	support_tmpdir_remove(c->dir);
	unsetenv("JOURNAL_STREAM");
	return text;
}

static void one_of_each(void)
{
	log_error("e %d", 1);
	log_warning("w");
	log_info("Created address: %s", "a@b");
	log_debug("d");
}

static const struct level_case {
	const char *name;
	enum log_level level;
	const char *text;
} level_cases[] = {
	{ "error", LOG_LEVEL_ERROR, "error: e 1\n" },
	{ "warning", LOG_LEVEL_WARNING, "error: e 1\nwarning: w\n" },
	{ "info", LOG_LEVEL_INFO,
	    "error: e 1\nwarning: w\ninfo: Created address: a@b\n" },
	{ "debug", LOG_LEVEL_DEBUG,
	    "error: e 1\nwarning: w\ninfo: Created address: a@b\ndebug: d\n" },
};

static void level(void **state)
{
	const struct level_case *c = *state;
	struct capture capture = capture_begin();
	struct support_text text;

	log_set_level(c->level);
	assert_int_equal(log_get_level(), c->level);
	one_of_each();
	text = capture_end(&capture);
	assert_string_equal(text.data, c->text);
	free(text.data);
}

static void set_stream(dev_t device, ino_t inode)
{
	char stream[64];

	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)device,
	    (unsigned long long)inode);
	setenv("JOURNAL_STREAM", stream, 1);
}

static void journal(void **state)
{
	struct capture capture = capture_begin();
	struct support_text text;
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	set_stream(st.st_dev, st.st_ino);
	log_set_level(LOG_LEVEL_DEBUG);
	one_of_each();
	text = capture_end(&capture);
	assert_string_equal(text.data, "<3>e 1\n<4>w\n<6>Created address: a@b\n<7>d\n");
	free(text.data);
}

static void inherited_journal_is_not_ours(void **state)
{
	struct capture capture = capture_begin();
	struct support_text text;
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	set_stream(st.st_dev, st.st_ino + 1);
	log_error("a");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_error("b");
	text = capture_end(&capture);
	assert_string_equal(text.data, "error: a\nerror: b\n");
	free(text.data);
}

static void control_bytes_and_errno(void **state)
{
	struct capture capture = capture_begin();
	struct support_text text;

	errno = ENOSPC;
	log_info("a%cb\nc\x1b\x7f J\xc3\xbcrgen", 1);
	assert_int_equal(errno, ENOSPC);
	text = capture_end(&capture);
	assert_string_equal(text.data, "info: a?b?c?? J\xc3\xbcrgen\n");
	free(text.data);
}

/*
 * Around the longest line, 1024 bytes: what is longer ends in dots, and never inside a
 * character.
 */
static void long_lines(void **state)
{
	for (int len = 990; len < 1040; len++) {
		struct capture capture = capture_begin();
		size_t whole =
		    strlen("info: ") + (size_t)len + 3 * strlen("\xc3\xbc") + 1;
		struct support_text text;
		const char *end;

		log_info("%0*d\xc3\xbc\xc3\xbc\xc3\xbc", len, 0);
		text = capture_end(&capture);
		end = text.data + text.len - strlen("...\n");
		if (whole <= 1024) {
			assert_int_equal(text.len, whole);
			assert_string_equal(end + 2, "\xbc\n");
		} else {
			assert_in_range(text.len, 1020, 1024);
			assert_string_equal(end, "...\n");
			assert_true(end[-1] == '0' || end[-1] == '\xbc');
		}
		free(text.data);
	}
}

static void fatal_ends_the_program(void **state)
{
	struct capture capture = capture_begin();
	struct support_text text;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		log_fatal("no %s", "way");
	assert_int_equal(waitpid(child, &status, 0), child);
	text = capture_end(&capture);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_int_equal(strncmp(text.data, "error: no way\n", 14), 0);
	free(text.data);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(level, level_cases) },
		{ SUPPORT_TEST(journal) },
		{ SUPPORT_TEST(inherited_journal_is_not_ours) },
		{ SUPPORT_TEST(control_bytes_and_errno) },
		{ SUPPORT_TEST(long_lines) },
		{ SUPPORT_TEST(fatal_ends_the_program) },
	};

	return support_run("log", tests, ARRAY_LEN(tests));
}
