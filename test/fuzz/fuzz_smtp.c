/* SMTP lines: an accepted path is safe to send on, a written reply is one reply. */
#include "proto/smtp.h"
#include "test/fuzz/fuzz.h"

static void check_path(struct span arg, const char *keyword)
{
	char line[SMTP_PATH_MAX + 16];
	struct span address, again;
	int n;

	if (smtp_parse_path(arg, keyword, &address))
		return;
	FUZZ_CHECK(address.len <= SMTP_PATH_MAX);
	FUZZ_CHECK(address.len > 0 || strcmp(keyword, "FROM") == 0);
	for (size_t i = 0; i < address.len; i++)
		FUZZ_CHECK(
		    (unsigned char)address.data[i] >= ' ' && address.data[i] != 0x7f);
	n = snprintf(line, sizeof(line), "%s:<%.*s>", keyword, SPAN_ARG(address));
	FUZZ_CHECK(!smtp_parse_path(span_make(line, (size_t)n), keyword, &again));
	FUZZ_CHECK(span_equal(address, again));
}

static void check_reply(struct span rest)
{
	enum smtp_reply_state state = SMTP_REPLY_MORE;
	struct smtp_reply r;
	struct span line;

	smtp_reply_init(&r);
	while (state == SMTP_REPLY_MORE && span_cut(&rest, '\n', &line))
		state = smtp_reply_feed(&r, line);
	FUZZ_CHECK(r.len <= SMTP_REPLY_MAX);
	if (r.begun)
		FUZZ_CHECK(r.code >= 200 && r.code <= 599);
	if (state == SMTP_REPLY_COMPLETE)
		FUZZ_CHECK(r.begun);
}

/* Read by the other half, a written reply ends with its last line and says the same. */
static void check_format(struct span text)
{
	size_t len = smtp_format_reply(NULL, 0, 523, text);
	char *lines = malloc(len);
	enum smtp_reply_state state = SMTP_REPLY_MORE;
	struct smtp_reply r;
	struct span rest = { lines, len }, line;

	FUZZ_CHECK(lines);
	FUZZ_CHECK(smtp_format_reply(lines, len, 523, text) == len);
	smtp_reply_init(&r);
	while (rest.len && span_cut(&rest, '\n', &line)) {
		FUZZ_CHECK(state == SMTP_REPLY_MORE);
		FUZZ_CHECK(span_ends(line, span_of("\r")));
		line.len--;
		FUZZ_CHECK(!line.len || !memchr(line.data, '\r', line.len));
		state = smtp_reply_feed(&r, line);
	}
	FUZZ_CHECK(state == SMTP_REPLY_COMPLETE);
	FUZZ_CHECK(r.len == (text.len < SMTP_REPLY_MAX ? text.len : SMTP_REPLY_MAX));
	for (size_t i = 0; i < r.len; i++)
		FUZZ_CHECK(r.text[i] == text.data[i] || r.text[i] == '?');
	free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span line = { fuzz_copy(data, size), size }, arg;

	smtp_parse_command(line, &arg);
	FUZZ_CHECK(arg.len <= size);
	check_path(arg, "FROM");
	check_path(arg, "TO");
	check_path(line, "FROM");
	check_reply(line);
	check_format(line);
	free((void *)(uintptr_t)line.data);
	return 0;
}
