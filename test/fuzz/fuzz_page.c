/*
 * Expressions of web pages: a result or a message, never both. A text without tags comes
 * out as it went in, and no value's markup ever comes out, wherever it was put.
 */
#include <stdlib.h>

#include "deploy/page_expression.h"
#include "test/fuzz/fuzz.h"

static struct config *make_config(void)
{
	char text[] = "[params]\nmail_domain = chat.example.org\n"
		      "privacy_mail = <x y=\"z\"'>\n  w\n";

	return config_parse("i", text, sizeof(text) - 1, stderr);
}

static bool check(bool good, const char *error)
{
	FUZZ_CHECK(memchr(error, '\0', PAGE_ERROR_MAX) != NULL);
	FUZZ_CHECK(good == (error[0] == '\0'));
	FUZZ_CHECK(good || strncmp(error, "p:", 2) == 0);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *config;
	struct span text = span_make((const char *)data, size);
	struct text marked = { 0 }, out = { 0 };
	struct page_slots slots = { 0 };
	char error[PAGE_ERROR_MAX];
	struct page_scope scope = {
		.pagename = "home",
		.language = "en",
		.language_suffix = "",
		.language_links = "<a>",
		.alternate_links = "",
		.markdown_html = "<p>",
	};

	if (!config)
		config = make_config();
	scope.config = config;
	if (check(page_expand("p", text, &scope, &slots, &marked, error), error) &&
	    check(page_fill("p", text_span(&marked), &slots, &out, error), error)) {
		bool tags = memmem(data, size, "{{", 2) ||
			    memmem(data, size, "{%", 2) || memmem(data, size, "{#", 2);

		FUZZ_CHECK(tags || span_equal(text_span(&out), text));
		FUZZ_CHECK(memmem(data, size, "<x", 2) ||
			   !memmem(text_span(&out).data, out.len, "<x y=", 5));
	}
	page_slots_deinit(&slots);
	text_free(&marked);
	text_free(&out);
	return 0;
}
