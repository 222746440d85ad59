/*
 * An invite at the beginning of a password: of one that we made nothing may be changed, and
 * nobody makes one. The first byte tells what the rest is: bits to change in one of ours, or
 * a password.
 */
#include "chatmaild/invites.h"
#include "test/fuzz/fuzz.h"

#define SERIAL_BITS 48

static const unsigned char key[INVITE_KEY_SIZE] = "a key of which nobody knows bits";

static void check_ours(const uint8_t *data, size_t size)
{
	struct invite made = { .serial = 0 }, read;
	char text[INVITE_LEN + 1];
	bool changed = false;

	for (size_t i = 0; i < 6 && i < size; i++)
		made.serial = made.serial << 8 | data[i];
	made.last_day = made.serial & 0xffff;
	invite_write(key, &made, text);
	FUZZ_CHECK(strlen(text) == INVITE_LEN);
	for (size_t i = 6; i < size && i < 6 + INVITE_LEN; i++) {
		text[i - 6] = (char)(text[i - 6] ^ data[i]);
		changed |= data[i] != 0;
	}
	FUZZ_CHECK(invite_read(key, span_make(text, INVITE_LEN), &read) == !changed);
	if (changed)
		return;
	FUZZ_CHECK(read.serial == (made.serial | (int64_t)1 << SERIAL_BITS));
	FUZZ_CHECK(read.last_day == made.last_day);
	FUZZ_CHECK(!invite_read(key, span_make(text, INVITE_LEN - 1), &read));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct invite read;
	char *text;

	if (size == 0)
		return 0;
	if (data[0] == '!') {
		check_ours(data + 1, size - 1);
		return 0;
	}
	text = fuzz_copy(data, size);
	FUZZ_CHECK(!invite_read(key, span_make(text, size), &read));
	free(text);
	return 0;
}
