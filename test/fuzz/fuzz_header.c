/* Header blocks, and the values GMime sees beside us. */
#include "milter/header.h"
#include "test/fuzz/fuzz.h"

static void check_fields(const struct header *h, struct span block)
{
	const char *end = block.data + block.len;

	FUZZ_CHECK(h->nfields > 0 && h->nfields <= HEADER_FIELDS_MAX);
	for (size_t i = 0; i < h->nfields; i++) {
		struct span name = h->field[i].name, value = h->field[i].value;

		FUZZ_CHECK(name.len > 0 && name.data >= block.data);
		FUZZ_CHECK(name.data[name.len] == ':');
		FUZZ_CHECK(value.data == name.data + name.len + 1);
		/* Its line end is still inside. */
		FUZZ_CHECK(value.data + value.len + 2 <= end);
		FUZZ_CHECK(memcmp(value.data + value.len, "\r\n", 2) == 0);
	}
}

static void check_from(const struct header *h)
{
	char address[HEADER_ADDRESS_MAX];
	const char *at;

	if (header_from(h, address, sizeof(address)))
		return;
	FUZZ_CHECK(header_count(h, "from") == 1);
	at = strchr(address, '@');
	FUZZ_CHECK(at && at > address && at[1] && !strchr(at + 1, '@'));
	for (const char *p = address; *p; p++)
		FUZZ_CHECK(
		    (unsigned char)*p > ' ' && *p != 0x7f && !strchr("<>,;\"", *p));
}

static void check_values(const struct header *h)
{
	struct content_type ct;
	char text[64];

	for (size_t i = 0; i < h->nfields; i++) {
		bool known = content_type_parse(&ct, h->field[i].value);

		FUZZ_CHECK(ct.type[0] && ct.subtype[0]);
		FUZZ_CHECK(known || content_type_is(&ct, "text", "plain"));
		header_decode(h->field[i].value, text, sizeof(text));
		FUZZ_CHECK(strlen(text) < sizeof(text));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct span block = span_make(text, size);
	struct header h;

	if (header_parse(&h, block) == NULL) {
		check_fields(&h, block);
		check_from(&h);
		check_values(&h);
		header_deinit(&h);
	}
	free(text);
	return 0;
}
