/* chatmaild/password.c: hashes as Dovecot reads them. */
#include "chatmaild/password.h"

#include <crypt.h>

#include "test/support.h"

#define SCHEME "{SHA512-CRYPT}"

static const struct hash_case {
	const char *name, *password;
} hash_cases[] = {
	{ "plain", "nine chars" },
	{ "empty", "" },
	{ "quotes and slashes", "a\"b\\c'd/e" },
	{ "UTF-8", "p\xc3\xa4ssw\xc3\xb6rd \xf0\x9f\x94\x91" },
};

static void hash_verifies(void **state)
{
	const struct hash_case *c = *state;
	char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];
	struct crypt_data data = { 0 };
	const char *stored = hash + strlen(SCHEME);

	assert_int_equal(password_hash(span_of(c->password), hash, sizeof(hash)), 0);
	assert_int_equal(strlen(hash), 120);
	assert_memory_equal(hash, SCHEME "$6$", strlen(SCHEME "$6$"));
	assert_string_equal(crypt_r(c->password, stored, &data), stored);
	assert_true(password_is_hash(span_of(hash)));

	assert_int_equal(password_hash(span_of(c->password), again, sizeof(again)), 0);
	assert_string_not_equal(hash, again);
}

static void hash_limits(void **state)
{
	char hash[PASSWORD_HASH_MAX], password[PASSWORD_MAX + 1];

	memset(password, 'x', sizeof(password));
	assert_int_equal(
	    password_hash(span_make(password, PASSWORD_MAX), hash, sizeof(hash)), 0);
	assert_int_equal(
	    password_hash(span_make(password, PASSWORD_MAX + 1), hash, sizeof(hash)),
	    -1);
	assert_int_equal(password_hash(span_make("a\0b", 3), hash, sizeof(hash)), -1);
	assert_int_equal(password_hash(span_of("too small a room"), hash, 120), -1);
	assert_int_equal(password_hash(span_of("just enough"), hash, 121), 0);
}

static const struct is_hash_case {
	const char *name, *text;
	bool is;
} is_hash_cases[] = {
	{ "ours", "{SHA512-CRYPT}$6$salt$hash", true },
	{ "another scheme", "{BLF-CRYPT}$2y$05$x", true },
	{ "encoding suffix", "{SHA256.HEX}00ff", true },
	{ "locked by hand", "{SHA512-CRYPT}!$6$salt$hash", true },
	{ "empty", "", false },
	{ "clear text", "secret", false },
	{ "no hash", "{SHA512-CRYPT}", false },
	{ "no scheme", "{}hash", false },
	{ "open brace", "{SHA512-CRYPT", false },
	{ "only a brace", "{", false },
	{ "blank before", " {PLAIN}x", false },
	{ "blank in the scheme", "{SHA 512}x", false },
	{ "line feed", "{PLAIN}x\n", false },
	{ "two lines", "{PLAIN}x\n{PLAIN}y", false },
	{ "tab", "{PLAIN}x\ty", false },
	{ "not ASCII", "{PLAIN}\xc3\xa4", false },
};

static void is_hash(void **state)
{
	const struct is_hash_case *c = *state;

	assert_int_equal(password_is_hash(span_of(c->text)), c->is);
}

static void is_hash_bounds(void **state)
{
	char text[PASSWORD_HASH_MAX];

	memset(text, 'x', sizeof(text));
	memcpy(text, "{A}", 3);
	assert_true(password_is_hash(span_make(text, sizeof(text) - 1)));
	assert_false(password_is_hash(span_make(text, sizeof(text))));
	assert_false(password_is_hash(span_make("{A}x\0y", 6)));
}

static const struct length_case {
	const char *name, *password;
	size_t length;
} length_cases[] = {
	{ "empty", "", 0 },
	{ "ASCII", "abc", 3 },
	{ "two bytes", "\xc3\xa4", 1 },
	{ "four bytes", "\xf0\x9f\x94\x91!", 2 },
};

static void length(void **state)
{
	const struct length_case *c = *state;

	assert_int_equal(password_length(span_of(c->password)), c->length);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(hash_verifies, hash_cases) },
		{ SUPPORT_TEST(hash_limits) },
		{ SUPPORT_TABLE(is_hash, is_hash_cases) },
		{ SUPPORT_TEST(is_hash_bounds) },
		{ SUPPORT_TABLE(length, length_cases) },
	};

	return support_run("password", tests, ARRAY_LEN(tests));
}
