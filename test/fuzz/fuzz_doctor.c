/*
 * What the doctor is told, as answers of a server's script and as a returned mail: no bytes
 * make it fail, and none of them reach a terminal.
 */
#include "deploy/doctor_dkim.h"
#include "deploy/doctor_server.h"
#include "proto/span.h"
#include "test/fuzz/fuzz.h"

static void judge(struct span output)
{
	char ini[] = "[params]\nmail_domain = chat.example\n";
	struct config *config = config_parse("ini", ini, strlen(ini), stderr);
	const struct doctor_question q = { .config = config };
	struct doctor *d = doctor_create();
	const struct doctor_finding *list;
	size_t n;

	FUZZ_CHECK(config);
	doctor_judge_health(d, &q, NULL, output);
	doctor_explain(d);
	list = doctor_list(d, &n);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(list[i].because < n);
		for (const char *c = list[i].is; *c; c++)
			FUZZ_CHECK(
			    (unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f);
	}
	doctor_free(d);
	config_free(config);
}

static void find_returned(struct span report)
{
	struct span header;

	if (!doctor_returned(report, &header))
		return;
	FUZZ_CHECK(header.data >= report.data &&
		   header.data + header.len <= report.data + report.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_copy(data, size), *text = span_dup(span_make(copy, size));
	char *joined;

	FUZZ_CHECK(text);
	judge(span_make(copy, size));
	find_returned(span_make(copy, size));
	joined = doctor_join_text(text);
	FUZZ_CHECK(strlen(joined) <= strlen(text));
	free(joined);
	free(text);
	free(copy);
	return 0;
}
