/*
 * A page of metrics as chatmailctl reads it: each sample lies on a line of its own, in the
 * order of the page; sums and quantiles of anything end.
 */
#include "chatmaild/ctl_samples.h"
#include "test/fuzz/fuzz.h"

static void check_inside(struct span s, const char *page, const char *end)
{
	FUZZ_CHECK(s.len == 0 || (s.data >= page && s.data + s.len <= end));
	FUZZ_CHECK(!memchr(s.data, '\n', s.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *page = malloc(size + 1);
	const char *at = page, *before = page;
	struct sample s;

	FUZZ_CHECK(page);
	if (size > 0)
		memcpy(page, data, size);
	page[size] = '\0';
	while (sample_next(&at, &s)) {
		FUZZ_CHECK(at > before && at <= page + size);
		check_inside(s.name, before, at);
		check_inside(s.labels, before, at);
		check_inside(sample_label(&s, "le"), before, at);
		before = at;
	}
	FUZZ_CHECK(*at == '\0');
	samples_sum(page, "chatmail_logins_total", NULL);
	for (unsigned i = 0; i <= 4; i++) {
		samples_quantile(page, NULL, "chatmail_push_seconds", NULL, i / 4.0);
		samples_quantile(page, page, "chatmail_push_seconds", "a", i / 4.0);
	}
	free(page);
	return 0;
}
