/* Dict lines: fields stay in their line, values survive a reply, keys their quotes. */
#include "proto/dict.h"
#include "test/fuzz/fuzz.h"

static void check_round_trip(struct span value)
{
	size_t len = dict_format_reply(NULL, 0, 'O', value);
	char *line = malloc(len);
	struct dict_request req;

	FUZZ_CHECK(line);
	FUZZ_CHECK(dict_format_reply(line, len, 'O', value) == len);
	FUZZ_CHECK(memchr(line, '\n', len) == line + len - 1);
	FUZZ_CHECK(!memchr(line, '\t', len));
	FUZZ_CHECK(!dict_parse(&req, line, len - 1));
	FUZZ_CHECK(req.letter == 'O' && req.nfields == (value.len > 0));
	FUZZ_CHECK(span_equal(req.field[0], value));
	free(line);
}

static void check_parse(const uint8_t *data, size_t size)
{
	char *line = fuzz_copy(data, size), *from = line;
	struct dict_request req;
	const char *why = dict_parse(&req, line, size);

	FUZZ_CHECK(!why || req.nfields == DICT_FIELDS_MAX);
	FUZZ_CHECK(
	    (req.command == DICT_NONE) == (size == 0 || (size == 1 && *data == '\r')));
	for (size_t i = 0; i < req.nfields; i++) {
		FUZZ_CHECK(req.field[i].data >= from);
		from = line + (req.field[i].data - line) + req.field[i].len;
		FUZZ_CHECK(from <= line + size);
		check_round_trip(req.field[i]);
	}
	for (size_t i = req.nfields; i < DICT_FIELDS_MAX; i++)
		FUZZ_CHECK(req.field[i].len == 0);
	free(line);
}

static void check_quoted(const uint8_t *data, size_t size)
{
	char *args = fuzz_copy(data, size), *from = args;
	struct span field[4];
	int n = dict_split_quoted(args, size, field, 4);

	FUZZ_CHECK(n == -1 || (n >= 1 && n <= 4));
	for (int i = 0; i < n; i++) {
		FUZZ_CHECK(field[i].data >= from);
		from = args + (field[i].data - args) + field[i].len;
		FUZZ_CHECK(from <= args + size);
	}
	free(args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_parse(data, size);
	check_quoted(data, size);
	check_round_trip(span_make((const char *)data, size));
	return 0;
}
