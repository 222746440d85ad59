/* What the doctor makes of what it sees, and what follows from what. */
#include "deploy/doctor.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "deploy/doctor_dkim.h"
#include "deploy/doctor_doors.h"
#include "deploy/doctor_mail.h"
#include "deploy/doctor_server.h"
#include "deploy/doctor_web.h"
#include "test/support.h"

#define NOW   1767225600 /* 2026-01-01 00:00 */
#define DAY   86400
#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct config *make_config(void)
{
	char ini[] = "[params]\nmail_domain = chat.example\n";

	return config_parse("ini", ini, strlen(ini), stderr);
}

/* Keys that are ill, parted by commas; only causes, or only what follows. */
static char *ill(struct doctor *d, bool causes)
{
	size_t n;
	const struct doctor_finding *list;
	struct text t = { 0 };

	doctor_explain(d);
	list = doctor_list(d, &n);
	text_add(&t, "");
	for (size_t i = 0; i < n; i++) {
		if (list[i].severity >= DOCTOR_WARNING &&
		    (list[i].because == i) == causes)
			text_printf(&t, "%s%s", t.len ? ", " : "", list[i].key);
	}
	return text_take(&t);
}

/* One row: findings that are ill, and which of them are named as causes. */
static const struct explain_case {
	const char *name;
	const char *found[8];
	const char *causes;
} explain_cases[] = {
	{ "a stopped unit closes its ports",
	    { "unit nginx.service", "listen 443", "port 443 192.0.2.1", "web site",
		"iroh" },
	    "unit nginx.service" },
	{ "in whatever order",
	    { "port 993 192.0.2.1", "listen 993", "mail login",
		"unit dovecot.service" },
	    "unit dovecot.service" },
	{ "a changed file stops a unit",
	    { "file /etc/nginx/nginx.conf", "unit nginx.service",
		"port 443 192.0.2.1" },
	    "file /etc/nginx/nginx.conf" },
	{ "a file of another program does not",
	    { "file /etc/postfix/main.cf", "unit nginx.service" },
	    "file /etc/postfix/main.cf, unit nginx.service" },
	{ "a filtered port is a cause itself", { "port 25 192.0.2.1" },
	    "port 25 192.0.2.1" },
	{ "another port's unit is not its cause",
	    { "unit dovecot.service", "port 25 192.0.2.1" },
	    "unit dovecot.service, port 25 192.0.2.1" },
	{ "a full disk before all",
	    { "mail login", "unit chatmaild.service", "disk /home" }, "disk /home" },
	{ "the record before the signature",
	    { "mail dkim", "dns TXT opendkim._domainkey.chat.example" },
	    "dns TXT opendkim._domainkey.chat.example" },
	{ "no connection, no ports",
	    { "port 25 192.0.2.1", "port 993 192.0.2.1", "ssh" }, "ssh" },
};

static void explain(void **state)
{
	const struct explain_case *c = *state;
	struct doctor *d = doctor_create();
	char *causes;

	for (size_t i = 0; c->found[i]; i++)
		doctor_note(d, DOCTOR_TROUBLE, c->found[i], "mend it", "is ill");
	causes = ill(d, true);
	assert_string_equal(causes, c->causes);
	free(causes);
	doctor_free(d);
}

static void sound_and_untried_explain_nothing(void **state)
{
	struct doctor *d = doctor_create();
	char *causes;

	doctor_note(d, DOCTOR_SOUND, "unit nginx.service", NULL, "runs");
	doctor_note(d, DOCTOR_UNTRIED, "listen 443", NULL, "not known");
	doctor_note(d, DOCTOR_TROUBLE, "port 443 192.0.2.1", NULL, "closed");
	causes = ill(d, true);
	assert_string_equal(causes, "port 443 192.0.2.1");
	assert_int_equal(doctor_worst(d), DOCTOR_TROUBLE);
	free(causes);
	doctor_free(d);
}

static void a_warning_weighs_what_follows(void **state)
{
	struct doctor *d = doctor_create();

	doctor_note(d, DOCTOR_WARNING, "file /etc/nginx/nginx.conf", NULL, "changed");
	doctor_note(d, DOCTOR_TROUBLE, "unit nginx.service", NULL, "failed");
	doctor_note(d, DOCTOR_SOUND, "unit nginx.service", NULL, "said once already");
	doctor_explain(d);
	assert_int_equal(
	    doctor_find(d, "file /etc/nginx/nginx.conf")->worst, DOCTOR_TROUBLE);
	assert_string_equal(doctor_find(d, "unit nginx.service")->is, "failed");
	doctor_free(d);
}

static void json_holds_it_all(void **state)
{
	struct doctor *d = doctor_create();
	const json_t *list, *second;
	char *page = NULL;
	size_t len;
	FILE *out = open_memstream(&page, &len);
	json_t *whole;

	doctor_note(d, DOCTOR_TROUBLE, "unit nginx.service", "start it",
	    "is \033[31mstopped\xff");
	doctor_note(d, DOCTOR_TROUBLE, "port 443 192.0.2.1", NULL, "closed");
	doctor_explain(d);
	doctor_print_json(d, "chat.example", 1.5, out);
	fclose(out);
	whole = json_loads(page, 0, NULL);
	assert_non_null(whole);
	assert_string_equal(
	    json_string_value(json_object_get(whole, "severity")), "trouble");
	list = json_object_get(whole, "findings");
	second = json_array_get(list, 1);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(list, 0), "cause")),
	    "is ?[31mstopped?");
	assert_string_equal(json_string_value(json_object_get(second, "because")),
	    "unit nginx.service");
	json_decref(whole);
	free(page);
	doctor_free(d);
}

/* What the server says, and what is ill then. */
static const struct health_case {
	const char *name, *output, *causes;
} health_cases[] = {
	{ "sound",
	    "memory 800000 1000000\ninotify max_user_instances 128\n"
	    "disk / 50000000000 100000000000 900 1000\n"
	    "certificate found " SHA_A " " SHA_B " " SHA_B "\n"
	    "resolver ok\npush ok\nout mx.example ok\nnofile a.service infinity\n"
	    "connections 993 12\n",
	    "" },
	{ "nothing is nothing ill", "", "" },
	{ "rubbish", "disk\ndisk / x y\nmemory -\ninotify\nout\nqueue {\nwhy\n\377 \n",
	    "" },
	{ "disk full", "disk /home 1000 100000000000 9 10\n", "disk /home" },
	{ "disk nearly full", "disk / 5000000000 100000000000 9 10\n", "disk /" },
	{ "inodes", "disk / 50000000000 100000000000 10 100000\n", "inodes /" },
	{ "file systems without inodes", "disk / 50000000000 100000000000 0 0\n", "" },
	{ "memory", "memory 1000 1000000\n", "memory" },
	{ "inotify", "inotify max_user_watches 100\n",
	    "limit inotify max_user_watches" },
	{ "descriptors", "nofile dovecot.service 512\n",
	    "limit nofile dovecot.service" },
	{ "connections", "connections 993 9999\nconnections 143 1\n",
	    "limit imap connections" },
	{ "another's key", "certificate found " SHA_A " " SHA_A " " SHA_B "\n",
	    "tls key" },
	{ "no certificate", "certificate none /etc/x.pem\n", "tls file" },
	{ "resolver", "resolver status: SERVFAIL\n", "resolver" },
	{ "resolver and all beyond",
	    "resolver \npush timeout\nout mx.example BIO_lookup_ex failed\n",
	    "resolver" },
	{ "one mail server is enough", "out a.example refused\nout b.example ok\n",
	    "" },
	{ "no mail server", "out a.example refused\nout b.example refused\n",
	    "out 25" },
	{ "push", "push connect:errno=111\n", "push" },
	{ "registration", "registration closed\n", "registration" },
	{ "a failed unit", "failed stranger.service\n", "failed stranger.service" },
	{ "old mail",
	    "queue {\"destination\": \"x.example\", \"recipients\": 3, \"oldest\": 1, "
	    "\"reason\": \"timed out\"}\n",
	    "queue x.example" },
	{ "mail on its way",
	    "queue {\"destination\": \"x.example\", \"recipients\": 3, \"oldest\": 1, "
	    "\"reason\": \"\"}\n",
	    "" },
};

static void health(void **state)
{
	const struct health_case *c = *state;
	struct config *config = make_config();
	const struct doctor_question q = { .config = config };
	struct doctor *d = doctor_create();
	char *causes;

	doctor_judge_health(d, &q, NULL, span_of(c->output));
	causes = ill(d, true);
	assert_string_equal(causes, c->causes);
	free(causes);
	doctor_free(d);
	config_free(config);
}

static const struct clock_case {
	const char *name;
	int64_t before, server, after; /* seconds */
	enum doctor_severity severity;
} clock_cases[] = {
	{ "right", 100, 100, 101, DOCTOR_SOUND },
	{ "a slow answer tells nothing", 100, 130, 160, DOCTOR_SOUND },
	{ "ahead", 100, 120, 101, DOCTOR_WARNING },
	{ "behind", 100, 80, 101, DOCTOR_WARNING },
	{ "far behind", 1000, 100, 1001, DOCTOR_TROUBLE },
};

static void judge_clock(void **state)
{
	const struct clock_case *c = *state;
	struct doctor *d = doctor_create();

	doctor_judge_clock(
	    d, c->before * 1000000, c->server * 1000000, c->after * 1000000);
	assert_int_equal(doctor_find(d, "clock")->severity, c->severity);
	doctor_free(d);
}

/* One port at one address, and what it means. */
static const struct door_case {
	const char *name;
	enum dial_failure failure;
	bool listening;        /* as the server says */
	const char *elsewhere; /* as another host says; NULL: there is none */
	int out_25_works;
	enum doctor_severity severity;
	const char *says;
} door_cases[] = {
	{ "open", DIAL_FINE, true, NULL, -1, DOCTOR_SOUND, "answers" },
	{ "nobody listens", DIAL_REFUSED, false, NULL, -1, DOCTOR_TROUBLE, "refuses" },
	{ "filtered", DIAL_SILENT, true, NULL, 1, DOCTOR_TROUBLE, "packet filter" },
	{ "our own network blocks it", DIAL_SILENT, true, NULL, 0, DOCTOR_UNTRIED,
	    "no port 25 at all" },
	{ "open to others", DIAL_SILENT, true, "open 192.0.2.1 25\n", 1, DOCTOR_UNTRIED,
	    "only this machine" },
	{ "open to us alone", DIAL_FINE, true, "closed 192.0.2.1 25\n", 1,
	    DOCTOR_WARNING, "not to there" },
	{ "others see another port", DIAL_FINE, true, "closed 192.0.2.1 465\n", 1,
	    DOCTOR_SOUND, "answers" },
	{ "no SMTP", DIAL_NONSENSE, true, NULL, 1, DOCTOR_TROUBLE,
	    "not as it should: it says" },
};

static void door(void **state)
{
	const struct door_case *c = *state;
	struct fact_port port = { "tcp", "0.0.0.0", 25, "master" };
	const struct facts facts = { .ports = &port, .nports = c->listening ? 1 : 0 };
	struct doors doors = { .domain = "chat.example", .n = 1 };
	const struct doors_elsewhere elsewhere = { c->elsewhere ? "there" : NULL,
		span_of(c->elsewhere ? c->elsewhere : "") };
	struct doctor *d = doctor_create();
	const struct doctor_finding *f;

	doors.door[0] = (struct door){ .port = 25,
		.protocol = DOOR_SMTP,
		.address = "192.0.2.1",
		.failure = c->failure,
		.error = "it says so" };
	doors_judge(d, &doors, &facts, &elsewhere, c->out_25_works);
	f = doctor_find(d, "port 25 192.0.2.1");
	assert_non_null(f);
	assert_int_equal(f->severity, c->severity);
	assert_non_null(strstr(f->is, c->says));
	doctor_free(d);
}

/* Two ports with certificates, and what is ill. */
static const struct tls_case {
	const char *name;
	struct door_certificate first, second;
	const char *output, *causes;
} tls_cases[] = {
#define GOOD                                                                           \
	.sha256 = SHA_A, .key = SHA_A, .issuer = "/CN=ca", .length = 2,                \
	.begins = NOW - DAY
#define SOUND GOOD, .ends = NOW + 60 * DAY, .name_fits = true, .trusted = true
	{ "sound", { SOUND }, { SOUND },
	    "certificate found " SHA_A " " SHA_A " " SHA_A "\n", "" },
	{ "expired", { GOOD, .ends = NOW - DAY, .name_fits = true, .trusted = true },
	    { SOUND }, "", "tls expiry" },
	{ "expires", { GOOD, .ends = NOW + DAY, .name_fits = true, .trusted = true },
	    { SOUND }, "", "tls expiry" },
	{ "another's name", { GOOD, .ends = NOW + 60 * DAY, .trusted = true },
	    { SOUND }, "", "tls name" },
	{ "chain", { GOOD, .ends = NOW + 60 * DAY, .name_fits = true }, { SOUND }, "",
	    "tls chain" },
	{ "one of them did not read the new one", { SOUND },
	    { .sha256 = SHA_B,
		.key = SHA_B,
		.ends = NOW + 60 * DAY,
		.name_fits = true,
		.trusted = true },
	    "certificate found " SHA_A " " SHA_A " " SHA_A "\n", "tls served 993" },
	{ "two keys, and the server not asked", { SOUND },
	    { .sha256 = SHA_B,
		.key = SHA_B,
		.ends = NOW + 60 * DAY,
		.name_fits = true,
		.trusted = true },
	    "", "tls ports" },
	{ "none at all", { .length = 0 }, { .length = 0 }, "", "" },
};

static void judge_tls(void **state)
{
	const struct tls_case *c = *state;
	struct config *config = make_config();
	struct doors doors = { .domain = "chat.example", .n = 2 };
	struct doctor *d = doctor_create();
	char *causes;

	doors.door[0].port = 443;
	doors.door[0].certificate = c->first;
	doors.door[1].port = 993;
	doors.door[1].certificate = c->second;
	doors_judge_tls(d, &doors, config, span_of(c->output), NOW);
	causes = ill(d, true);
	assert_string_equal(causes, c->causes);
	free(causes);
	doctor_free(d);
	config_free(config);
}

static const struct drift_case {
	const char *name;
	struct fact_unit unit;
	struct fact_file file;
	const char *causes;
} drift_cases[] = {
#define RUNS                                                                           \
	{                                                                              \
		"a.service", "loaded", "active", "enabled", false, false               \
	}
#define FILE_                                                                          \
	{                                                                              \
		"/etc/a", FACT_REGULAR, 0644, "root", "root", SHA_A, NULL              \
	}
	{ "as deployed", RUNS, FILE_, "" },
	{ "stopped", { "a.service", "loaded", "inactive", "enabled", false, false },
	    FILE_, "unit a.service" },
	{ "failed", { "a.service", "loaded", "failed", "enabled", false, false }, FILE_,
	    "unit a.service" },
	{ "masked", { "a.service", "masked", "inactive", "masked", false, false },
	    FILE_, "unit a.service" },
	{ "gone", { "a.service", "not-found", "inactive", "", false, false }, FILE_,
	    "unit a.service" },
	{ "disabled", { "a.service", "loaded", "active", "disabled", false, false },
	    FILE_, "unit a.service" },
	{ "an old program", { "a.service", "loaded", "active", "enabled", true, false },
	    FILE_, "unit a.service" },
	{ "changed", RUNS,
	    { "/etc/a", FACT_REGULAR, 0644, "root", "root", SHA_B, NULL },
	    "file /etc/a" },
	{ "gone file", RUNS, { "/etc/a", FACT_NONE, 0, "", "", NULL, NULL },
	    "file /etc/a" },
	{ "owner", RUNS, { "/etc/a", FACT_REGULAR, 0644, "me", "root", SHA_A, NULL },
	    "file /etc/a" },
	{ "mode", RUNS, { "/etc/a", FACT_REGULAR, 0600, "root", "root", SHA_A, NULL },
	    "file /etc/a" },
};

static void drift(void **state)
{
	const struct drift_case *c = *state;
	struct fact_unit unit = c->unit;
	struct fact_file file = c->file;
	const struct facts facts = {
		.machine = "x86_64",
		.files = &file,
		.nfiles = 1,
		.units = &unit,
		.nunits = 1,
	};
	const struct wanted_file w = {
		.path = "/etc/a", .sha256 = SHA_A, .mode = 0644
	};
	struct wanted *deployed = wanted_create();
	const struct doctor_question q = { .deployed = deployed };
	struct doctor *d = doctor_create();
	char *causes;

	wanted_component(deployed, "a");
	want_file(deployed, &w);
	want_unit(deployed, "a.service", UNIT_RUNNING);
	doctor_judge_drift(d, &q, &facts, span_of("why a.service out of memory\n"));
	causes = ill(d, true);
	assert_string_equal(causes, c->causes);
	if (strcmp(c->name, "failed") == 0)
		assert_non_null(
		    strstr(doctor_find(d, "unit a.service")->is, "out of memory"));
	free(causes);
	doctor_free(d);
	wanted_free(deployed);
}

static const struct returned_case {
	const char *name, *report, *header; /* NULL: none */
} returned_cases[] = {
	{ "a header",
	    "A: b\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\n"
	    "Content-Type: text/rfc822-headers\r\n\r\nFrom: a\r\nTo: "
	    "b\r\n\r\n--x--\r\n",
	    "From: a\r\nTo: b\r\n" },
	{ "a message",
	    "--x\r\ncontent-type: message/rfc822\r\n\r\nFrom: "
	    "a\r\n\r\nbody\r\n--x--\r\n",
	    "From: a\r\n" },
	{ "words in a text",
	    "--x\r\nA: b\r\n\r\nContent-Type: message/rfc822\r\n\r\nq\r\n", NULL },
	{ "cut off", "--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: a\r\n", NULL },
	{ "nothing", "", NULL },
};

static void returned(void **state)
{
	const struct returned_case *c = *state;
	struct span header;
	bool found = doctor_returned(span_of(c->report), &header);

	assert_int_equal(found, c->header != NULL);
	if (found) {
		assert_int_equal(header.len, strlen(c->header));
		assert_memory_equal(header.data, c->header, header.len);
	}
}

static void joins_texts(void **state)
{
	char *text = doctor_join_text("TXT \"v=DKIM1; p=a\" \"b\\\"\\\\c\"");

	assert_string_equal(text, "v=DKIM1; p=ab\"\\c");
	free(text);
}

static const struct http_case {
	const char *name, *line;
	unsigned code;
} http_cases[] = {
	{ "ok", "HTTP/1.1 200 OK", 200 },
	{ "without words", "HTTP/1.0 404", 404 },
	{ "not HTTP", "220 mail.example ESMTP", 0 },
	{ "no number", "HTTP/1.1 2x0 OK", 0 },
	{ "too long", "HTTP/1.1 2000", 0 },
	{ "empty", "", 0 },
};

static void http_code(void **state)
{
	const struct http_case *c = *state;

	assert_int_equal(doctor_http_code(span_of(c->line)), c->code);
}

static void accounts_are_allowed_ones(void **state)
{
	struct config *config = make_config();
	struct doctor_account a, b;
	char *guard, *end;

	assert_true(doctor_account_init(&a, config));
	assert_true(doctor_account_init(&b, config));
	assert_string_not_equal(a.address, b.address);
	assert_string_not_equal(a.password, b.password);
	assert_true(strcspn(a.address, "@") <= (size_t)config->username_max_length);
	assert_true(strlen(a.password) >= (size_t)config->password_min_length);
	guard = doctor_guard_script(&a, false);
	end = doctor_delete_script(&a);
	assert_non_null(strstr(guard, "--on-active="));
	assert_null(strstr(guard, a.password));
	assert_non_null(strstr(end, a.address));
	free(guard);
	free(end);
	config_free(config);
}

/* A program that notes how it was called, and ends with this status. */
static void stand_in(const char *dir, const char *name, int status)
{
	char text[256], *path = support_path(dir, name);

	snprintf(text, sizeof(text), "#!/bin/sh\necho %s $* >>%s/calls\nexit %d\n",
	    name, dir, status);
	support_write_file(path, span_of(text));
	assert_int_equal(chmod(path, 0700), 0);
	free(path);
}

static const struct end_case {
	const char *name;
	int deleted;      /* how the deletion ends */
	bool timer_stays; /* what deletes it later */
} end_cases[] = {
	{ "deleted", 0, false },
	{ "not there yet", 1, true },
};

static void end_of_an_account(void **state)
{
	const struct end_case *c = *state;
	struct config *config = make_config();
	char *dir = support_tmpdir(), *script, *path, command[4096];
	struct doctor_account a;
	struct support_text calls;

	assert_true(doctor_account_init(&a, config));
	stand_in(dir, "postqueue", 0);
	stand_in(dir, "postsuper", 0);
	stand_in(dir, "systemctl", 0);
	stand_in(dir, "chatmailctl", c->deleted);
	script = doctor_delete_script(&a);
	path = support_path(dir, "script");
	support_write_file(path, span_of(script));
	snprintf(command, sizeof(command), "PATH=%s:$PATH sh -eu %s", dir, path);
	assert_int_equal(system(command), 0);
	free(path);
	path = support_path(dir, "calls");
	calls = support_read_file(path);
	assert_non_null(strstr(calls.data, a.address));
	assert_int_equal(strstr(calls.data, "systemctl stop") == NULL, c->timer_stays);
	free(calls.data);
	free(path);
	free(script);
	support_tmpdir_remove(dir);
	config_free(config);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TABLE(explain, explain_cases) },
		{ SUPPORT_TEST(sound_and_untried_explain_nothing) },
		{ SUPPORT_TEST(a_warning_weighs_what_follows) },
		{ SUPPORT_TEST(json_holds_it_all) },
		{ SUPPORT_TABLE(health, health_cases) },
		{ SUPPORT_TABLE(judge_clock, clock_cases) },
		{ SUPPORT_TABLE(door, door_cases) },
		{ SUPPORT_TABLE(judge_tls, tls_cases) },
		{ SUPPORT_TABLE(drift, drift_cases) },
		{ SUPPORT_TABLE(returned, returned_cases) },
		{ SUPPORT_TEST(joins_texts) },
		{ SUPPORT_TABLE(http_code, http_cases) },
		{ SUPPORT_TEST(accounts_are_allowed_ones) },
		{ SUPPORT_TABLE(end_of_an_account, end_cases) },
	};

	return support_run("doctor", tests, ARRAY_LEN(tests));
}
