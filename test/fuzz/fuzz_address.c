/* Addresses: every answer agrees with the others. */
#include "proto/address.h"
#include "test/fuzz/fuzz.h"

static void check_mailbox(struct span address)
{
	size_t size = address.len + 1;
	char *buf = malloc(size);
	int n;

	FUZZ_CHECK(buf);
	n = address_mailbox(address, buf, size);
	FUZZ_CHECK(n >= -1 && n <= (int)address.len);
	if (n >= 0) {
		FUZZ_CHECK(strlen(buf) == (size_t)n);
		for (int i = 0; i < n; i++)
			FUZZ_CHECK(buf[i] < 'A' || buf[i] > 'Z');
	}
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span address = { fuzz_copy(data, size), size }, local, domain;
	bool split = address_split(address, &local, &domain);

	if (split) {
		FUZZ_CHECK(local.len + 1 + domain.len == size);
		FUZZ_CHECK(local.data == address.data);
		FUZZ_CHECK(local.data[local.len] == '@');
		FUZZ_CHECK(domain.data == local.data + local.len + 1);
	}
	if (address_is_path(address)) {
		FUZZ_CHECK(size <= ADDRESS_PATH_MAX && data[0] != '.');
		FUZZ_CHECK(memchr(data, '@', size) && !memchr(data, '/', size));
		FUZZ_CHECK(!memchr(data, '\0', size) && !memchr(data, '\n', size));
	}
	if (address_local_creatable(address))
		FUZZ_CHECK(!split && !address_is_path(address));
	if (address_in_domain(address, "[192.0.2.1]"))
		FUZZ_CHECK(memmem(data, size, "@[192.0.2.1]", 12));
	check_mailbox(address);
	free((void *)(uintptr_t)address.data);
	return 0;
}
