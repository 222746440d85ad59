/* chatmail.ini: what is read can be written down and is read the same again. */
#include "proto/ini.h"
#include "test/fuzz/fuzz.h"

/* Write items one by one; a section's items stand together. */
static char *write_down(const struct ini *ini, size_t *len)
{
	char *text;
	FILE *f = open_memstream(&text, len);

	FUZZ_CHECK(f);
	for (size_t i = 0; i < ini->nitems; i++) {
		const struct ini_item *item = &ini->item[i];

		if (i == 0 || !span_equal(item->section, item[-1].section))
			fprintf(f, "[%.*s]\n", SPAN_ARG(item->section));
		fprintf(f, "%.*s=", SPAN_ARG(item->key));
		for (size_t j = 0; j < item->value.len; j++)
			fputs(item->value.data[j] == '\n'
				  ? "\n "
				  : (char[]){ item->value.data[j], 0 },
			    f);
		fputc('\n', f);
	}
	fclose(f);
	return text;
}

static void check_again(const struct ini *ini)
{
	struct ini again;
	size_t len;
	char *text = write_down(ini, &len);

	FUZZ_CHECK(ini_parse(&again, text, len) == 0);
	FUZZ_CHECK(again.nitems == ini->nitems);
	for (size_t i = 0; i < ini->nitems; i++) {
		FUZZ_CHECK(span_equal(again.item[i].section, ini->item[i].section));
		FUZZ_CHECK(span_equal(again.item[i].key, ini->item[i].key));
		FUZZ_CHECK(span_equal(again.item[i].value, ini->item[i].value));
	}
	ini_deinit(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct ini ini;

	if (ini_parse(&ini, text, size) != 0) {
		FUZZ_CHECK(ini.error && ini.line >= 1 && ini.line <= size);
	} else {
		for (size_t i = 0; i < ini.nitems; i++)
			FUZZ_CHECK(
			    ini.item[i].line >= (i ? ini.item[i - 1].line + 1 : 2));
		check_again(&ini);
		ini_deinit(&ini);
	}
	free(text);
	return 0;
}
