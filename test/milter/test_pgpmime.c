#include "milter/pgpmime.h"

#include <stdlib.h>

#include "test/support.h"

#define TEXT(s)                                                                        \
	{                                                                              \
		s, sizeof(s) - 1                                                       \
	}
#define CONTROL "--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
#define DATA    "--b\r\nContent-Type: application/octet-stream\r\n\r\n"
#define ARMOR                                                                          \
	"-----BEGIN PGP MESSAGE-----\r\n\r\n0gQBqrvM\r\n=njUN\r\n"                     \
	"-----END PGP MESSAGE-----\r\n"
#define END "\r\n--b--\r\n"
#define ENCODED                                                                        \
	"--b\r\nContent-Type: application/octet-stream\r\n"                            \
	"Content-Transfer-Encoding: "

static const struct body_case {
	const char *name;
	struct span in;
	const char *why; /* NULL: encrypted */
} body_cases[] = {
	{ "plain", TEXT(CONTROL DATA ARMOR END), NULL },
	{ "blank preamble and epilogue",
	    TEXT("\r\n" CONTROL DATA ARMOR END "\r\n \r\n"), NULL },
	{ "no closing boundary", TEXT(CONTROL DATA ARMOR), NULL },
	{ "armor ends at the boundary",
	    TEXT(CONTROL DATA "-----BEGIN PGP MESSAGE-----\r\n0gQBqrvM\r\n"
			      "-----END PGP MESSAGE-----\r\n--b--"),
	    NULL },
	{ "version among blanks",
	    TEXT("--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n\r\n "
		 "\tVersion: 1 "
		 "\r\n\r\n" DATA ARMOR END),
	    NULL },
	{ "more part headers",
	    TEXT("--b\r\nContent-Type: application/pgp-encrypted; charset=\"utf-8\"\r\n"
		 "Content-Description: PGP/MIME version identification\r\n"
		 "Content-Transfer-Encoding: 7bit\r\nX-Any: thing\r\n\r\nVersion: 1\r\n"
		 "--b\r\nContent-Type: Application/Octet-Stream;\r\n name=\"a.asc\"\r\n"
		 "Content-Disposition: attachment; filename=\"a.asc\"\r\n\r\n" ARMOR
		     END),
	    NULL },
	{ "armor in base64",
	    TEXT(CONTROL ENCODED
		"base64\r\n\r\n"
		"LS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tDQoNCjBnUUJxcnZN"
		"DQo9bmpVTg0K\r\nLS0tLS1FTkQgUEdQIE1FU1NBR0UtLS0tLQ0K\r\n" END),
	    NULL },
	{ "armor in quoted-printable",
	    TEXT(CONTROL ENCODED
		"quoted-printable\r\n\r\n"
		"-----BEGIN PGP MESSAGE-----\r\n\r\n0gQBqrvM\r\n=3DnjUN\r\n"
		"-----END PGP =\r\nMESSAGE-----\r\n" END),
	    NULL },
	{ "armor in base64 with bare LF",
	    TEXT(
		CONTROL ENCODED "base64\r\n\r\nLS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tCgow"
				"Z1FCcXJ2TQo=\r\n" END),
	    "armor: no begin line" },
	{ "unknown encoding", TEXT(CONTROL ENCODED "x-uuencode\r\n\r\n" ARMOR END),
	    "mime: unknown transfer encoding" },
	{ "two encodings",
	    TEXT(CONTROL ENCODED
		"7bit\r\nContent-Transfer-Encoding: base64\r\n\r\n" ARMOR END),
	    "mime: two Content-Transfer-Encoding fields" },
	{ "base64 of no armor, broken later",
	    TEXT(CONTROL ENCODED "base64\r\n\r\nSGVsbG8=x\r\n" END),
	    "armor: no begin line" },
	{ "base64 cut short",
	    TEXT(CONTROL ENCODED "base64\r\n\r\nLS0tLS1CRUdJTg\r\n" END),
	    "base64: cut short" },
	{ "only the control part", TEXT(CONTROL "--b--\r\n"),
	    "pgp/mime: not two parts" },
	{ "no part", TEXT("--b--\r\n"), "pgp/mime: not two parts" },
	{ "nothing", TEXT(""), "pgp/mime: not two parts" },
	{ "a third part",
	    TEXT(
		CONTROL DATA ARMOR "\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi" END),
	    "pgp/mime: more than two parts" },
	{ "data first", TEXT(DATA ARMOR CONTROL END),
	    "pgp/mime: part of another type" },
	{ "text for the control part",
	    TEXT(
		"--b\r\nContent-Type: text/plain\r\n\r\nVersion: 1\r\n" DATA ARMOR END),
	    "pgp/mime: part of another type" },
	{ "no type for the control part",
	    TEXT("--b\r\n\r\nVersion: 1\r\n" DATA ARMOR END),
	    "pgp/mime: part of another type" },
	{ "text for the data part",
	    TEXT(CONTROL "--b\r\nContent-Type: text/plain\r\n\r\n" ARMOR END),
	    "pgp/mime: part of another type" },
	{ "a multipart for the data part",
	    TEXT(CONTROL
		"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" END),
	    "pgp/mime: part of another type" },
	{ "a message for the data part",
	    TEXT(CONTROL "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: hi" END),
	    "pgp/mime: part of another type" },
	{ "two types",
	    TEXT(CONTROL "--b\r\nContent-Type: application/octet-stream\r\n"
			 "Content-Type: text/plain\r\n\r\n" ARMOR END),
	    "mime: two Content-Type fields" },
	{ "type with a comment",
	    TEXT(CONTROL
		"--b\r\nContent-Type: application/octet-stream (x)\r\n\r\n" ARMOR END),
	    "mime: Content-Type has no one reading" },
	{ "broken part header",
	    TEXT("--b\r\nhello\r\n\r\nVersion: 1\r\n" DATA ARMOR END),
	    "header: neither field nor continuation" },
	{ "version 2",
	    TEXT("--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: "
		 "2\r\n" DATA ARMOR END),
	    "pgp/mime: not Version: 1" },
	{ "version in lower case",
	    TEXT("--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nversion: "
		 "1\r\n" DATA ARMOR END),
	    "pgp/mime: not Version: 1" },
	{ "text behind the version",
	    TEXT("--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n"
		 "Version: 1\r\nhello\r\n" DATA ARMOR END),
	    "pgp/mime: not Version: 1" },
	{ "empty control part",
	    TEXT("--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n" DATA ARMOR
		    END),
	    "pgp/mime: not Version: 1" },
	{ "blank line before the armor", TEXT(CONTROL DATA "\r\n" ARMOR END),
	    "armor: no begin line" },
	{ "text behind the armor", TEXT(CONTROL DATA ARMOR "hello" END),
	    "armor: text behind the end" },
	{ "empty data part", TEXT(CONTROL DATA END), "armor: cut short" },
	{ "preamble", TEXT("hello\r\n" CONTROL DATA ARMOR END),
	    "mime: text before the first boundary" },
	{ "epilogue", TEXT(CONTROL DATA ARMOR END "hello\r\n"),
	    "mime: text behind the last boundary" },
	{ "epilogue with another part", TEXT(CONTROL DATA ARMOR END DATA ARMOR END),
	    "mime: text behind the last boundary" },
	{ "cut in a boundary line", TEXT(CONTROL DATA ARMOR "\r\n--b"),
	    "mime: cut short" },
};

struct recognizer {
	const char *want;
	const char *why;
	struct pgpmime pgpmime;
};

static void body_begin(void *arg)
{
	struct recognizer *r = arg;

	r->why = pgpmime_init(&r->pgpmime, span_of("b"), false);
	assert_null(r->why);
}

static void body_feed(void *arg, const char *bytes, size_t len)
{
	struct recognizer *r = arg;

	if (!r->why)
		r->why = pgpmime_feed(&r->pgpmime, span_make(bytes, len));
}

static void body_end(void *arg, const char *cut)
{
	struct recognizer *r = arg;

	if (!r->why)
		r->why = pgpmime_end(&r->pgpmime);
	pgpmime_deinit(&r->pgpmime);
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

static void control_part_too_long(void **state)
{
	static const char blanks[256] = "";
	struct recognizer r = { .want = NULL };

	body_begin(&r);
	body_feed(&r, CONTROL, strlen(CONTROL));
	for (int i = 0; i < 4; i++) {
		assert_null(r.why);
		body_feed(&r, blanks, sizeof(blanks));
	}
	assert_string_equal(r.why, "pgp/mime: control part too long");
	pgpmime_deinit(&r.pgpmime);
}

static void hostile_boundary(void **state)
{
	struct pgpmime p;

	assert_non_null(pgpmime_init(&p, span_of(""), false));
	pgpmime_deinit(&p);
	assert_non_null(pgpmime_init(&p, span_of("a "), false));
	pgpmime_deinit(&p);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(body, body_cases) },
		{ SUPPORT_TEST(control_part_too_long) },
		{ SUPPORT_TEST(hostile_boundary) },
	};

	return support_run("pgpmime", tests, ARRAY_LEN(tests));
}
