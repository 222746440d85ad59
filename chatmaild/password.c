/*
 * Password hashing by libxcrypt. Knows neither accounts nor files.
 */
#include "chatmaild/password.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SCHEME     "{SHA512-CRYPT}"
#define SALT_CHARS 16 /* the most that SHA512-crypt uses */

static const char salt_alphabet[64 + 1] =
    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* "$6$" and the salt: no rounds=, so that crypt's default of 5000 holds. */
static int make_setting(char setting[3 + SALT_CHARS + 1])
{
	unsigned char random[SALT_CHARS];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -1;
	memcpy(setting, "$6$", 3);
	for (size_t i = 0; i < SALT_CHARS; i++)
		setting[3 + i] = salt_alphabet[random[i] % 64];
	setting[3 + SALT_CHARS] = '\0';
	return 0;
}

/* "{SHA512-CRYPT}" and what crypt() makes of them. 0 or -1. */
static int crypt_password(
    struct span password, const char *setting, char *hash, size_t size)
{
	char text[PASSWORD_MAX + 1];
	struct crypt_data *data; /* 32 KiB: too much for a thread's stack */
	const char *crypted;
	int n = -1;

	if (password.len > PASSWORD_MAX)
		return -1;
	if (password.len && memchr(password.data, '\0', password.len))
		return -1;
	data = calloc(1, sizeof(*data));
	if (!data)
		return -1;
	if (password.len)
		memcpy(text, password.data, password.len);
	text[password.len] = '\0';

	crypted = crypt_rn(text, setting, data, sizeof(*data));
	if (crypted)
		n = snprintf(hash, size, SCHEME "%s", crypted);

	explicit_bzero(text, sizeof(text));
	explicit_bzero(data, sizeof(*data));
	free(data);
	return n >= 0 && (size_t)n < size ? 0 : -1;
}

int password_hash(struct span password, char *hash, size_t size)
{
	char setting[3 + SALT_CHARS + 1];

	return make_setting(setting) < 0
		   ? -1
		   : crypt_password(password, setting, hash, size);
}

/* The setting is the hash's own beginning; "rounds=" could cost any time. */
bool password_matches(struct span password, const char *hash)
{
	static const char begin[] = SCHEME "$6$", rounds[] = SCHEME "$6$rounds=";
	char again[PASSWORD_HASH_MAX];

	return strncmp(hash, begin, strlen(begin)) == 0 &&
	       strncmp(hash, rounds, strlen(rounds)) != 0 &&
	       crypt_password(password, hash + strlen(SCHEME), again, sizeof(again)) ==
		   0 &&
	       strcmp(again, hash) == 0;
}

static bool scheme_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool password_is_hash(struct span text)
{
	size_t i = 1;

	if (text.len == 0 || text.len >= PASSWORD_HASH_MAX || text.data[0] != '{')
		return false;
	while (i < text.len && scheme_char(text.data[i]))
		i++;
	if (i == 1 || i + 1 >= text.len || text.data[i] != '}')
		return false;
	for (i++; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] > '~')
			return false;
	return true;
}

size_t password_length(struct span password)
{
	size_t n = 0;

	for (size_t i = 0; i < password.len; i++)
		if (((unsigned char)password.data[i] & 0xc0) != 0x80)
			n++;
	return n;
}
