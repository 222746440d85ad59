/* JSON-RPC, line by line. */
#include "deploy/rpc.h"

#include "test/support.h"

static void requests(void **state)
{
	char *line = rpc_request(7, "add", json_pack("[i, s]", 1, "two\nlines"));

	assert_string_equal(line, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"add\","
				  "\"params\":[1,\"two\\nlines\"]}\n");
	free(line);
}

/* Several answers, among what is none. */
#define CAME                                                                           \
	"{\"id\":1,\"result\":\"one\"}\nhello\n\n{\"id\":0,\"result\":1}\n"            \
	"[{\"id\":9,\"result\":1}]\n{\"id\":2,\"error\":{\"message\":\"no\"}}\n"       \
	"{\"id\":\"3\",\"result\":1}\n{\"id\":3,\"result\":null}\n"                    \
	"{\"id\":4,\"error\":{}}\n{\"id\":5}\n{\"id\":6,\"result\":"

struct stream {
	struct text came, said;
};

static void begin(void *arg)
{
	struct stream *s = arg;

	text_free(&s->came);
	text_free(&s->said);
}

static void feed(void *arg, const char *bytes, size_t len)
{
	struct stream *s = arg;
	struct rpc_answer a;

	text_add_span(&s->came, span_make(bytes, len));
	while (rpc_take(&s->came, &a) == RPC_ANSWER) {
		char *result = a.result ? json_dumps(a.result, JSON_ENCODE_ANY) : NULL;

		text_printf(
		    &s->said, "%d:%s;", (int)a.id, result ? result : a.complaint);
		free(result);
		rpc_answer_deinit(&a);
	}
}

static void end(void *arg, const char *cut)
{
	struct stream *s = arg;

	support_assert_span(
	    text_span(&s->said), span_of("1:\"one\";2:no;3:null;4:refused;5:null;"));
	support_assert_span(text_span(&s->came), span_of("{\"id\":6,\"result\":"));
}

static void answers(void **state)
{
	static const struct support_feeder feeder = { begin, feed, end };
	struct stream s = { 0 };

	support_every_cut(&feeder, &s, CAME, strlen(CAME));
	begin(&s);
}

static void nothing_came(void **state)
{
	struct text came = { 0 };
	struct rpc_answer a;

	assert_int_equal(rpc_take(&came, &a), RPC_MORE);
}

static void endless(void **state)
{
	char *much = calloc(1, RPC_LINE_MAX);
	struct text came = { 0 };
	struct rpc_answer a;

	assert_non_null(much);
	memset(much, ' ', RPC_LINE_MAX);
	text_add_span(&came, span_make(much, RPC_LINE_MAX - 1));
	assert_int_equal(rpc_take(&came, &a), RPC_MORE);
	text_add(&came, " ");
	assert_int_equal(rpc_take(&came, &a), RPC_ENDLESS);
	text_free(&came);
	free(much);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(requests) },
		{ SUPPORT_TEST(answers) },
		{ SUPPORT_TEST(nothing_came) },
		{ SUPPORT_TEST(endless) },
	};

	return support_run("rpc", tests, ARRAY_LEN(tests));
}
