/*
 * Quoting: read back by the rules of the shell (IEEE Std 1003.1, Shell Command Language
 * 2.2), the words are the ones that went in, and as many.
 */
#include "deploy/quote.h"
#include "test/fuzz/fuzz.h"

#define WORDS_MAX 8

/* The special characters that would end or change a word outside of quotes. */
static bool is_special(char c)
{
	return c == '\0' || strchr("|&;<>()$`\"* ?[#~=%{}!\t\n", c) != NULL;
}

/*
 * Read one word from the front of rest into word, which is large enough; false if there
 * is none.
 */
static bool read_word(struct span *rest, char *word, size_t *len)
{
	bool quoted = false, any = false;

	*len = 0;
	for (; rest->len > 0; *rest = span_skip(*rest, 1)) {
		char c = rest->data[0];

		if (c == '\'') {
			quoted = !quoted;
		} else if (!quoted && c == ' ') {
			break;
		} else if (!quoted && c == '\\') {
			*rest = span_skip(*rest, 1);
			FUZZ_CHECK(rest->len > 0);
			word[(*len)++] = rest->data[0];
		} else {
			FUZZ_CHECK(quoted || !is_special(c));
			word[(*len)++] = c;
		}
		any = true;
	}
	FUZZ_CHECK(!quoted);
	*rest = span_skip(*rest, 1);
	return any;
}

/* The input's words are parted by NUL, which no word can hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span words = span_make((const char *)data, size), rest = words, word;
	char *read = malloc(size + 1);
	struct text command = { 0 };
	struct span left;
	size_t n = 0, len;

	FUZZ_CHECK(read);
	while (n < WORDS_MAX && span_cut(&rest, '\0', &word)) {
		if (n++ > 0)
			text_add(&command, " ");
		quote_shell(&command, word);
	}
	left = text_span(&command);
	for (rest = words; n > 0; n--) {
		FUZZ_CHECK(span_cut(&rest, '\0', &word));
		FUZZ_CHECK(read_word(&left, read, &len));
		FUZZ_CHECK(span_equal(span_make(read, len), word));
	}
	FUZZ_CHECK(left.len == 0);
	text_free(&command);
	free(read);
	return 0;
}
