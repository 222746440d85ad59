/* Quoting for the shell, held against the shell itself. */
#include "deploy/quote.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

static const struct word_case {
	const char *name, *word;
} word_cases[] = {
	{ "plain", "word" },
	{ "empty", "" },
	{ "blank", " " },
	{ "blanks", "  two  words\t" },
	{ "quote", "'" },
	{ "quotes", "''it's''" },
	{ "double quote", "\"$HOME\"" },
	{ "backslash", "\\" },
	{ "backslash quote", "\\'\\" },
	{ "line break", "a\nb\n" },
	{ "carriage return", "a\r" },
	{ "command", "$(id) `id` ${x} $x; id & id | id > /dev/null" },
	{ "glob", "/* ? [a] {a,b}" },
	{ "home", "~" },
	{ "option", "-n" },
	{ "comment", "# no" },
	{ "history", "!!" },
	{ "assignment", "a=b" },
	{ "keyword", "if" },
	{ "format", "%s%%\\n" },
	{ "letters of others", "\xc3\xa4\xe2\x82\xac" },
	{ "not UTF-8", "\xff\xfe\x81\x88\xc3" },
};

/* What the shell makes of the word: its arguments, each followed by a line of its own. */
static char *ask_shell(const char *shell, struct span script, size_t *len)
{
	char *answer = calloc(1, 4096);
	int in[2], status;
	pid_t pid;
	ssize_t n;

	assert_non_null(answer);
	assert_int_equal(pipe(in), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(in[1], STDOUT_FILENO);
		close(in[0]);
		execlp(shell, shell, "-c", script.data, (char *)NULL);
		_exit(99);
	}
	close(in[1]);
	for (*len = 0; (n = read(in[0], answer + *len, 4095 - *len)) > 0;)
		*len += (size_t)n;
	close(in[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return answer;
}

static void check_word(const char *shell, struct span word)
{
	struct text script = { 0 }, expected = { 0 };
	char *answer;
	size_t len;

	text_add(&script, "printf '%s|' ");
	quote_shell(&script, word);
	text_add(&script, " end");
	answer = ask_shell(shell, text_span(&script), &len);
	text_add_span(&expected, word);
	text_add(&expected, "|end|");
	assert_int_equal(len, expected.len);
	assert_memory_equal(answer, expected.data, len);
	free(answer);
	text_free(&script);
	text_free(&expected);
}

static void word(void **state)
{
	const struct word_case *c = *state;

	check_word("sh", span_of(c->word));
	check_word("bash", span_of(c->word));
}

static void every_byte(void **state)
{
	char bytes[255];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i + 1);
	check_word("sh", span_make(bytes, sizeof(bytes)));
	check_word("bash", span_make(bytes, sizeof(bytes)));
}

/* Where a bare word would be more than a word. */
static void first_word(void **state)
{
	static const char *const words[] = { "if", "a=b", "{", "!", "~", "-x", "" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct text script = { 0 };
		char *answer;
		size_t len;

		quote_command(
		    &script, "%s 2>/dev/null; [ $? = 127 ] || echo bad", words[i]);
		answer = ask_shell("sh", text_span(&script), &len);
		assert_string_equal(answer, "");
		free(answer);
		text_free(&script);
	}
}

static void command(void **state)
{
	struct text t = { 0 };

	quote_command(
	    &t, "install -m 0%u %s %s 100%% %r", 644U, "a b", "it's", "| cat");
	assert_string_equal(t.data, "install -m 0644 'a b' 'it'\\''s' 100% | cat");
	text_free(&t);
	quote_command(&t, "");
	assert_string_equal(t.data, "");
	quote_command(&t, "%s", "");
	assert_string_equal(t.data, "''");
	quote_command(&t, "%%x");
	assert_string_equal(t.data, "''%x");
	text_free(&t);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(word, word_cases) },
		{ SUPPORT_TEST(every_byte) },
		{ SUPPORT_TEST(first_word) },
		{ SUPPORT_TEST(command) },
	};

	return support_run("quote", tests, ARRAY_LEN(tests));
}
