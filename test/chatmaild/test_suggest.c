/* chatmaild/suggest.c: what an app gets that asks for a new address. */
#include "chatmaild/suggest.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>

#include "test/support.h"

static const struct suggest_case {
	const char *name;
	struct config config;
	size_t email_len, password_len;
	const char *login_ends; /* of dclogin_url; NULL: there is none */
} suggest_cases[] = {
	{ "plain",
	    { .mail_domain = (char *)"chat.example",
		.mail_domain_bare = (char *)"chat.example",
		.username_max_length = 9,
		.password_min_length = 9 },
	    9 + 1 + 12, 12, NULL },
	{ "external certificate",
	    { .mail_domain = (char *)"chat.example",
		.mail_domain_bare = (char *)"chat.example",
		.username_max_length = 1,
		.password_min_length = 0,
		.tls_mode = TLS_EXTERNAL },
	    1 + 1 + 12, 3, NULL },
	{ "long ones",
	    { .mail_domain = (char *)"c.example",
		.mail_domain_bare = (char *)"c.example",
		.username_max_length = 60,
		.password_min_length = 200 },
	    60 + 1 + 9, 203, NULL },
	{ "own certificate",
	    { .mail_domain = (char *)"_chat.example",
		.mail_domain_bare = (char *)"_chat.example",
		.username_max_length = 9,
		.password_min_length = 40,
		.tls_mode = TLS_SELF },
	    9 + 1 + 13, 43, "&v=1&ic=3" },
	{ "IPv4 address",
	    { .mail_domain = (char *)"[192.0.2.1]",
		.mail_domain_bare = (char *)"192.0.2.1",
		.ipv4_relay = true,
		.username_max_length = 9,
		.password_min_length = 9,
		.tls_mode = TLS_SELF },
	    9 + 1 + 11, 12, "&v=1&ih=192.0.2.1&sh=192.0.2.1&ic=3" },
};

/* Undo the escapes of a URL; %XX only. */
static void unescape(char *text)
{
	char *to = text, hex[3] = "";

	for (; *text; text++) {
		if (*text == '%') {
			memcpy(hex, text + 1, 2);
			*to++ = (char)strtol(hex, NULL, 16);
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

static void check_login(
    const char *url, const char *email, const char *password, const char *ends)
{
	char *copy = strdup(url), *query = strchr(copy, '?'), *rest;

	assert_non_null(query);
	*query = '\0';
	assert_memory_equal(copy, "dclogin:", 8);
	assert_string_equal(copy + 8, email);
	assert_memory_equal(query + 1, "p=", 2);
	rest = strchr(query + 3, '&');
	assert_non_null(rest);
	assert_string_equal(rest, ends);
	*rest = '\0';
	for (const char *p = query + 3; *p; p++)
		assert_true(isalnum((unsigned char)*p) || strchr("-._~%", *p));
	unescape(query + 3);
	assert_string_equal(query + 3, password);
	free(copy);
}

static void suggest(void **state)
{
	const struct suggest_case *c = *state;

	for (unsigned i = 0; i < 200; i++) {
		char *line = suggest_account(&c->config, span_of(""));
		const char *email, *password, *at;
		json_t *o;

		assert_non_null(line);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		assert_memory_equal(line, "{\"email\": \"", 11);
		o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		email = json_string_value(json_object_get(o, "email"));
		password = json_string_value(json_object_get(o, "password"));
		assert_true(email && password);
		assert_int_equal(strlen(email), c->email_len);
		at = strchr(email, '@');
		assert_non_null(at);
		assert_string_equal(at + 1, c->config.mail_domain);
		for (const char *p = email; p < at; p++)
			assert_true(
			    islower((unsigned char)*p) || isdigit((unsigned char)*p));
		assert_int_equal(strlen(password), c->password_len);
		for (const char *p = password; *p; p++)
			assert_true(isgraph((unsigned char)*p));
		if (c->login_ends)
			check_login(
			    json_string_value(json_object_get(o, "dclogin_url")), email,
			    password, c->login_ends);
		assert_int_equal(json_object_size(o), c->login_ends ? 3 : 2);
		json_decref(o);
		free(line);
	}
}

/* Each of the 94 characters comes, and two suggestions are never the same. */
static void all_characters(void **state)
{
	const struct config config = { .mail_domain = (char *)"c.example",
		.mail_domain_bare = (char *)"c.example",
		.username_max_length = 9,
		.password_min_length = 5000 };
	char *line = suggest_account(&config, span_of("")),
	     *other = suggest_account(&config, span_of(""));
	json_t *o = json_loads(line, 0, NULL);
	const char *password = json_string_value(json_object_get(o, "password"));

	assert_string_not_equal(line, other);
	for (char c = '!'; c <= '~'; c++)
		assert_non_null(strchr(password, c));
	json_decref(o);
	free(other);
	free(line);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(suggest, suggest_cases) },
		{ SUPPORT_TEST(all_characters) },
	};

	return support_run("suggest", tests, ARRAY_LEN(tests));
}
