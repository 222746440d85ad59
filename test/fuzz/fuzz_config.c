/*
 * chatmail.ini as a whole: a config whose values keep what the table promises, or at least
 * one line that says why not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chatmaild/config.h"
#include "chatmaild/config_value.h"
#include "test/fuzz/fuzz.h"

static void check_number(const struct config_option *o, int64_t n)
{
	FUZZ_CHECK(n >= o->min && n <= o->max);
}

static void check_field(const struct config *c, const struct config_option *o)
{
	const void *field = (const char *)c + o->field;

	switch (o->type) {
	case CONFIG_TEXT:
		FUZZ_CHECK(strchr(*(char *const *)field, '\n') == NULL);
		break;
	case CONFIG_TEXTS:
	case CONFIG_LIST:
		FUZZ_CHECK(*(char *const *)field != NULL);
		break;
	case CONFIG_FILE:
		FUZZ_CHECK(**(char *const *)field == '/' ||
			   (!o->fallback && **(char *const *)field == '\0'));
		break;
	case CONFIG_INTEGER:
		check_number(o, *(const int *)field);
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		check_number(o, *(const int64_t *)field);
		break;
	case CONFIG_ENDPOINT:
		FUZZ_CHECK(((const struct endpoint *)field)->len > 0 || !o->fallback);
		break;
	default:
		break;
	}
}

static void check_config(const struct config *c)
{
	size_t n;
	const struct config_option *options = config_options(&n);

	for (size_t i = 0; i < n; i++)
		check_field(c, &options[i]);
	FUZZ_CHECK(config_check_domain(c->mail_domain_bare) == NULL);
	FUZZ_CHECK(c->username_min_length <= c->username_max_length);
	FUZZ_CHECK(c->tls_cert_path[0] == '/' && c->tls_key_path[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *said = NULL;
	size_t said_len = 0;
	FILE *err = open_memstream(&said, &said_len);
	struct config *config;

	FUZZ_CHECK(text && err);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	config = config_parse("x.ini", text, size, err);
	free(text);
	FUZZ_CHECK(fclose(err) == 0);
	FUZZ_CHECK(config || said_len > 0);
	FUZZ_CHECK(said_len == 0 || said[said_len - 1] == '\n');
	if (config)
		check_config(config);
	config_free(config);
	free(said);
	return 0;
}
