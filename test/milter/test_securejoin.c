#include "milter/securejoin.h"

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}
#define PLAIN   "--b\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\r\n"
#define ENCODED "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
#define END     "\r\n--b--\r\n"

static const struct ask_case {
	const char *name;
	const char *value;
	bool asked;
} ask_cases[] = {
	{ "contact", " vc-request", true },
	{ "group", " vg-request ", true },
	{ "folded", "\r\n vc-request", true },
	{ "letter case", " VC-Request", false },
	{ "next step", " vc-auth-required", false },
	{ "version 3", " vc-request-pubkey", false },
	{ "empty", "", false },
};

static void ask(void **state)
{
	const struct ask_case *c = *state;

	assert_int_equal(securejoin_asked(span_of(c->value)), c->asked);
}

static const struct body_case {
	const char *name;
	struct span in;
	const char *why; /* NULL: a handshake */
} body_cases[] = {
	{ "contact", TEXT(PLAIN "Secure-Join: vc-request\r\n" END), NULL },
	{ "group", TEXT(PLAIN "Secure-Join: vg-request" END), NULL },
	{ "letter case", TEXT(PLAIN "SECURE-join: VC-Request" END), NULL },
	{ "among blanks",
	    TEXT("\r\n" PLAIN "\r\n \tSecure-Join: vc-request \r\n\r\n" END "\r\n"),
	    NULL },
	{ "no header: text/plain by default",
	    TEXT("--b\r\n\r\nSecure-Join: vc-request" END), NULL },
	{ "no closing boundary", TEXT(PLAIN "Secure-Join: vc-request\r\n"), NULL },
	{ "base64",
	    TEXT(ENCODED "base64\r\n\r\nU2VjdXJlLUpvaW46IHZjLXJlcXVlc3Q=\r\n" END),
	    NULL },
	{ "quoted-printable",
	    TEXT(ENCODED "quoted-printable\r\n\r\nSecure-Join: =\r\nvc=2Drequest" END),
	    NULL },
	{ "advert", TEXT(PLAIN "Buy more!" END), "secure-join: other text" },
	{ "text behind", TEXT(PLAIN "Secure-Join: vc-request\r\nhello" END),
	    "secure-join: other text" },
	{ "text before", TEXT(PLAIN "hello\r\nSecure-Join: vc-request" END),
	    "secure-join: other text" },
	{ "no blank", TEXT(PLAIN "Secure-Join:vc-request" END),
	    "secure-join: other text" },
	{ "two blanks", TEXT(PLAIN "Secure-Join:  vc-request" END),
	    "secure-join: other text" },
	{ "another step", TEXT(PLAIN "Secure-Join: vc-auth-required" END),
	    "secure-join: other text" },
	{ "NUL behind", TEXT(PLAIN "Secure-Join: vc-request\0" END),
	    "secure-join: other text" },
	{ "empty part", TEXT(PLAIN END), "secure-join: other text" },
	{ "html",
	    TEXT("--b\r\nContent-Type: text/html\r\n\r\nSecure-Join: vc-request" END),
	    "secure-join: not text/plain" },
	{ "multipart inside",
	    TEXT("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n"
		 "Secure-Join: vc-request" END),
	    "secure-join: not text/plain" },
	{ "two parts",
	    TEXT(PLAIN "Secure-Join: vc-request\r\n" PLAIN
		       "Secure-Join: vc-request" END),
	    "secure-join: more than one part" },
	{ "no part", TEXT("--b--\r\n"), "secure-join: no part" },
	{ "nothing", TEXT(""), "secure-join: no part" },
	{ "preamble", TEXT("hello\r\n" PLAIN "Secure-Join: vc-request" END),
	    "mime: text before the first boundary" },
	{ "epilogue", TEXT(PLAIN "Secure-Join: vc-request" END "hello"),
	    "mime: text behind the last boundary" },
	{ "unknown encoding",
	    TEXT(ENCODED "x-token\r\n\r\nSecure-Join: vc-request" END),
	    "mime: unknown transfer encoding" },
	{ "two types",
	    TEXT("--b\r\nContent-Type: text/plain\r\nContent-Type: text/plain\r\n\r\n"
		 "Secure-Join: vc-request" END),
	    "mime: two Content-Type fields" },
};

struct recognizer {
	const char *want;
	const char *why;
	struct securejoin securejoin;
};

static void body_begin(void *arg)
{
	struct recognizer *r = arg;

	r->why = securejoin_init(&r->securejoin, span_of("b"));
	assert_null(r->why);
}

static void body_feed(void *arg, const char *bytes, size_t len)
{
	struct recognizer *r = arg;

	if (!r->why)
		r->why = securejoin_feed(&r->securejoin, span_make(bytes, len));
}

static void body_end(void *arg, const char *cut)
{
	struct recognizer *r = arg;

	if (!r->why)
		r->why = securejoin_end(&r->securejoin);
	securejoin_deinit(&r->securejoin);
	if (!r->want && r->why)
		fail_msg("%s: %s", cut, r->why);
	if (r->want)
		assert_string_equal(r->why ? r->why : cut, r->want);
}

static const struct support_feeder body_feeder = { body_begin, body_feed, body_end };

static void body(void **state)
{
	const struct body_case *c = *state;
	struct recognizer r = { .want = c->why };

	support_every_cut(&body_feeder, &r, c->in.data, c->in.len);
}

/* Blanks are trimmed, but not without end. */
static void text_too_long(void **state)
{
	static const char blank[] = "          ";
	struct recognizer r = { .want = NULL };

	body_begin(&r);
	body_feed(&r, PLAIN, strlen(PLAIN));
	for (int i = 0; i < 103 && !r.why; i++)
		body_feed(&r, blank, strlen(blank));
	assert_string_equal(r.why, "secure-join: text too long");
	securejoin_deinit(&r.securejoin);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(ask, ask_cases) },
		{ SUPPORT_TABLE(body, body_cases) },
		{ SUPPORT_TEST(text_too_long) },
	};

	return support_run("securejoin", tests, ARRAY_LEN(tests));
}
