/*
 * Two real Delta Chat clients on one relay of this machine: they make their addresses by logging in,
 * get to know each other by SecureJoin and talk; clear text must bounce off. With a port of
 * the relay's web server, Alice takes her address from there, as the link on its page says,
 * and uses no other port, as in a network that lets nothing else through. Each step
 * is shown with its time; the first that fails ends the run and is named. If they may look
 * into the notification service's log, then Bob has a device token, as on a phone, and a
 * message for him must reach that service. His client stores the token itself if it may
 * use the library of the apps; the program without a screen cannot be given one, so that
 * the token is stored by IMAP for it. If they are told where the relay keeps its echo bot's
 * invitation, Alice meets the bot, too.
 */
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "deploy/chat.h"
#include "deploy/measure.h"
#include "test/relay/client.h"
#include "test/relay/phone.h"

#define MESSAGES_DEFAULT 5 /* both ways within the burst a relay allows by default */
#define MESSAGES_MAX     MEASURE_SAMPLES_MAX
#define ATTACHMENT_BYTES                                                               \
	200000 /* above 140 kB clients fetch it as a second message                    \
		*/
#define TOKEN          "fcm-chat.example:not-a-device"
#define PUSH_TIMEOUT_S 20
#define BOT_TIMEOUT_S  60
#define REFUSAL        "523 Encryption Needed: Invalid Unencrypted Mail"

struct person {
	char address[128], password[64];
	struct deltachat_program program;
	const struct deltachat_relay *relay; /* the way there */
	struct chat_end end;
};

struct talk {
	const char *dir, *json_path;
	const char *pushes; /* the notification service's log, or NULL */
	const char *bot;    /* the file of the echo bot's invitation, or NULL */
	struct deltachat_relay relay, web; /* its mail ports; only its web port, or 0 */
	size_t messages;
	struct person alice, bob;
	struct phone phone; /* Bob's, unless it has no library */
	char *invitation;
	char *bobs_token; /* as the service gets it */
	json_t *report;
	char failure[CHAT_ERROR_MAX];
};

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Name why the step failed; returns -1. */
__attribute__((format(printf, 2, 3))) static int fail(
    struct talk *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(t->failure, sizeof t->failure, format, ap);
	va_end(ap);
	return -1;
}

static int client_failed(struct talk *t, const struct person *p)
{
	chat_failed(&p->end, p == &t->alice ? &t->bob.end : &t->alice.end, t->failure);
	return -1;
}

/* len random letters and digits, as clients invent addresses and passwords. */
static void invent(char *text, size_t len)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32 */
	unsigned char random[64];

	if (getrandom(random, len, 0) != (ssize_t)len)
		abort();
	for (size_t i = 0; i < len; i++)
		text[i] = alphabet[random[i] % 32];
	text[len] = '\0';
}

static void invent_address(struct talk *t, struct person *p)
{
	char local[10];

	invent(local, 9);
	invent(p->password, 22);
	snprintf(p->address, sizeof p->address, "%s@%s", local, t->relay.domain);
}

/* The body of what the web server answers: its last line. */
static json_t *read_json(struct client *c)
{
	const char *line;
	json_t *o = NULL;

	while (!o && (line = client_line(c)))
		if (line[0] == '{')
			o = json_loads(line, 0, NULL);
	return o;
}

/* What apps do with the link on the page, "dcaccount:https://DOMAIN/new"; with their own
 * checks of the certificate, which ours here would not pass. */
static int take_address(struct talk *t, struct person *p)
{
	struct client *c = client_open(t->web.imap_port, CLIENT_TLS);
	char request[256];
	const char *address, *password;
	json_t *o;
	int rc = 0;

	if (!c)
		return fail(t, "nobody answers at port %u", t->web.imap_port);
	snprintf(request, sizeof request,
	    "POST /new HTTP/1.0\r\nHost: %s\r\nContent-Length: 0\r\n\r\n",
	    t->relay.domain);
	client_write(c, request, strlen(request));
	o = read_json(c);
	address = json_string_value(json_object_get(o, "email"));
	password = json_string_value(json_object_get(o, "password"));
	if (!address || !password)
		rc = fail(t, "the web server's /new gave no address");
	else {
		snprintf(p->address, sizeof p->address, "%s", address);
		snprintf(p->password, sizeof p->password, "%s", password);
		p->relay = &t->web;
	}
	json_decref(o);
	client_close(c);
	return rc;
}

static int start(struct talk *t, struct person *p)
{
	p->end.client = deltachat_start(&p->program, t->dir, p->end.name);
	if (!p->end.client)
		return fail(
		    t, "cannot start a client in %s: %s", t->dir, strerror(errno));
	return 0;
}

static int login(struct talk *t, struct person *p)
{
	if (start(t, p) < 0)
		return -1;
	if (deltachat_login(p->end.client, p->relay, p->address, p->password) < 0)
		return client_failed(t, p);
	return 0;
}

static int alice_takes_address(struct talk *t)
{
	return take_address(t, &t->alice);
}

static int alice_logs_in(struct talk *t)
{
	if (t->web.imap_port == 0)
		invent_address(t, &t->alice);
	return login(t, &t->alice);
}

static int bob_logs_in(struct talk *t)
{
	invent_address(t, &t->bob);
	return login(t, &t->bob);
}

static int alice_invites(struct talk *t)
{
	t->invitation = deltachat_invite(t->alice.end.client);
	return t->invitation ? 0 : client_failed(t, &t->alice);
}

static int securejoin(struct talk *t)
{
	struct chat c = { t->alice.end, t->bob.end };
	bool met = chat_meet(&c, t->failure);

	t->alice.end = c.a;
	t->bob.end = c.b;
	return met ? 0 : -1;
}

static int say(struct talk *t, const struct person *from, const struct person *to,
    const char *text)
{
	return chat_say(&from->end, &to->end, text, NULL, t->failure) ? 0 : -1;
}

/* As his client would, RFC 5464 section 4.3. */
static int store_token_by_imap(struct talk *t)
{
	struct client *c =
	    imap_open(t->relay.imap_port, t->bob.address, t->bob.password);
	bool stored;

	if (!c)
		return fail(t, "bob could not log in to port %u", t->relay.imap_port);
	stored =
	    imap_command(c, "SETMETADATA INBOX (/private/devicetoken \"" TOKEN "\")");
	client_close(c);
	if (!stored)
		return fail(t, "the relay did not take bob's device token");
	t->bobs_token = strdup(TOKEN);
	return t->bobs_token ? 0 : fail(t, "no memory");
}

static int bob_stores_token(struct talk *t)
{
	if (!t->phone.library)
		return store_token_by_imap(t);
	t->bobs_token = deltachat_stored_token(t->bob.end.client);
	return t->bobs_token ? 0 : client_failed(t, &t->bob);
}

/* When the service got the first POST of this token after begin, or 0 if it has none. */
static double push_arrived(FILE *log, const char *token, double begin)
{
	char line[8192];

	rewind(log);
	while (fgets(line, sizeof line, log)) {
		char *body;
		double at = strtod(line, &body);

		line[strcspn(line, "\n")] = '\0';
		if (at >= begin && *body == ' ' && strcmp(body + 1, token) == 0)
			return at;
	}
	return 0;
}

static int await_push(struct talk *t, double begin)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	FILE *log = fopen(t->pushes, "re");
	double at;

	if (!log)
		return fail(t, "%s: %s", t->pushes, strerror(errno));
	while ((at = push_arrived(log, t->bobs_token, begin)) == 0 &&
	       seconds_now() - begin < PUSH_TIMEOUT_S)
		nanosleep(&pause, NULL);
	fclose(log);
	if (at == 0)
		return fail(t, "no POST with bob's token in %s within %d s", t->pushes,
		    PUSH_TIMEOUT_S);
	printf("    from alice's sending to the POST: %.0f ms\n", (at - begin) * 1000);
	json_object_set_new(t->report, "push_ms", json_real((at - begin) * 1000));
	return 0;
}

static int push_arrives(struct talk *t)
{
	double begin = seconds_now();

	if (deltachat_send(t->alice.end.client, t->alice.end.chat, "ring", NULL) == 0)
		return client_failed(t, &t->alice);
	return await_push(t, begin);
}

/* There and back: in seconds, less than 0 if it failed. */
static double round_trip(struct talk *t, size_t number)
{
	char ping[64], pong[64];
	double begin;

	chat_pause();
	begin = seconds_now();
	snprintf(ping, sizeof ping, "ping %zu", number);
	snprintf(pong, sizeof pong, "pong %zu", number);
	if (say(t, &t->alice, &t->bob, ping) < 0 ||
	    say(t, &t->bob, &t->alice, pong) < 0)
		return -1;
	return seconds_now() - begin;
}

static void tell_figures(struct talk *t, const struct measure *m)
{
	const struct measure_figures f = measure_figures(m);

	printf("    of %zu: min %.0f ms, median %.0f ms, max %.0f ms\n", m->n,
	    f.min * 1000, f.median * 1000, f.max * 1000);
	json_object_set_new(t->report, "round_trip_ms",
	    json_pack("{s:I, s:f, s:f, s:f}", "messages", (json_int_t)m->n, "min",
		f.min * 1000, "median", f.median * 1000, "max", f.max * 1000));
}

static int exchange(struct talk *t)
{
	struct measures measures = { 0 };
	struct measure *m = measures_add(&measures, "round_trip", "");
	double seconds = 0;

	for (size_t i = 1; i <= t->messages; i++) {
		seconds = round_trip(t, i);
		if (seconds < 0)
			break;
		measure_sample(m, seconds);
		printf("    message %zu there, its answer back: %.0f ms\n", i,
		    seconds * 1000);
		fflush(stdout);
	}
	if (seconds >= 0)
		tell_figures(t, m);
	measures_free(&measures);
	return seconds < 0 ? -1 : 0;
}

/* A file nobody can compress: path is where to write it. */
static int write_attachment(const char *path, unsigned char *bytes)
{
	FILE *f = fopen(path, "wbe");
	bool whole;

	for (size_t n = 0; n < ATTACHMENT_BYTES;
	     n += 200) /* getrandom() gives 256 whole */
		if (getrandom(bytes + n, 200, 0) != 200)
			abort();
	if (!f)
		return -1;
	whole = fwrite(bytes, ATTACHMENT_BYTES, 1, f) == 1;
	return fclose(f) == 0 && whole ? 0 : -1;
}

static bool same_file(const char *path, const unsigned char *bytes)
{
	unsigned char *found = malloc(ATTACHMENT_BYTES + 1);
	FILE *f = path ? fopen(path, "rbe") : NULL;
	bool same = f && found &&
		    fread(found, 1, ATTACHMENT_BYTES + 1, f) == ATTACHMENT_BYTES &&
		    memcmp(found, bytes, ATTACHMENT_BYTES) == 0;

	if (f)
		fclose(f);
	free(found);
	return same;
}

static int send_attachment(struct talk *t)
{
	unsigned char *bytes = malloc(ATTACHMENT_BYTES);
	struct deltachat_message m = { 0 };
	char path[4096];
	int rc = -1;

	snprintf(path, sizeof path, "%s/picture.bin", t->dir);
	if (!bytes || write_attachment(path, bytes) < 0)
		fail(t, "cannot write %s: %s", path, strerror(errno));
	else if (deltachat_send(
		     t->bob.end.client, t->bob.end.chat, "a picture", path) == 0)
		client_failed(t, &t->bob);
	else if (deltachat_receive(t->alice.end.client, &m) < 0 ||
		 deltachat_fetch(t->alice.end.client, &m) < 0)
		client_failed(t, &t->alice);
	else if (!same_file(m.file, bytes))
		fail(t, "alice's copy of the attachment differs from bob's");
	else if (!m.encrypted)
		fail(t, "alice: the attachment is not shown as encrypted");
	else
		rc = 0;
	deltachat_message_deinit(&m);
	free(bytes);
	return rc;
}

/* The bot may still be on its way, so that the file is not there yet. */
static int read_invitation(struct talk *t, char *link, size_t size)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	double begin = seconds_now();
	FILE *f;

	while (!(f = fopen(t->bot, "re"))) {
		if (seconds_now() - begin > BOT_TIMEOUT_S)
			return fail(t, "%s: %s", t->bot, strerror(errno));
		nanosleep(&pause, NULL);
	}
	if (!fgets(link, (int)size, f))
		link[0] = '\0';
	fclose(f);
	link[strcspn(link, "\n")] = '\0';
	return link[0] ? 0 : fail(t, "%s is empty", t->bot);
}

static int alice_meets_bot(struct talk *t)
{
	char link[2048];

	if (read_invitation(t, link, sizeof link) < 0)
		return -1;
	printf("    %s\n", link);
	fflush(stdout);
	t->alice.end.chat = deltachat_join(t->alice.end.client, link);
	if (t->alice.end.chat == 0 || deltachat_joined(t->alice.end.client) < 0)
		return client_failed(t, &t->alice);
	return 0;
}

/* Alice says it to the bot, and gets the same back: text, and if file is not NULL what it
 * holds, the bytes. */
static int expect_echo(
    struct talk *t, const char *text, const char *file, const unsigned char *bytes)
{
	struct deltachat_message m = { 0 };
	int rc = 0;

	if (deltachat_send(t->alice.end.client, t->alice.end.chat, text, file) == 0 ||
	    deltachat_receive(t->alice.end.client, &m) < 0 ||
	    deltachat_fetch(t->alice.end.client, &m) < 0)
		rc = client_failed(t, &t->alice);
	else if (strcmp(m.text, text) != 0)
		rc = fail(t, "the bot sent '%s' instead of '%s'", m.text, text);
	else if (!m.encrypted)
		rc = fail(t, "the bot's answer is not shown as encrypted");
	else if (file && !same_file(m.file, bytes))
		rc = fail(t, "the bot's copy of the file differs");
	else
		printf("    '%s'%s, and the same back\n", text,
		    file ? " with a file" : "");
	deltachat_message_deinit(&m);
	return rc;
}

static int bot_echoes(struct talk *t)
{
	unsigned char *bytes = malloc(ATTACHMENT_BYTES);
	char path[4096];
	int rc;

	snprintf(path, sizeof path, "%s/echo.bin", t->dir);
	if (!bytes || write_attachment(path, bytes) < 0)
		rc = fail(t, "cannot write %s: %s", path, strerror(errno));
	else if ((rc = expect_echo(t, "hello, bot", NULL, NULL)) == 0)
		rc = expect_echo(t, "and this?", path, bytes);
	free(bytes);
	return rc;
}

/* What the clients themselves never send, by SMTP as alice. */
static int clear_text_bounces(struct talk *t)
{
	struct client *c = smtp_open(
	    t->relay.smtp_port, CLIENT_TLS, t->alice.address, t->alice.password);
	char message[1024];
	int len, rc = 0;

	if (!c)
		return fail(t, "alice could not log in to port %u", t->relay.smtp_port);
	len = snprintf(message, sizeof message,
	    "From: <%s>\r\nTo: <%s>\r\nSubject: hello\r\nDate: Mon, 3 Aug 2026 "
	    "10:00:00 "
	    "+0000\r\nMessage-ID: <clear@%s>\r\n\r\nNothing is secret here.\r\n",
	    t->alice.address, t->bob.address, t->relay.domain);
	smtp_send(c, t->alice.address, t->bob.address, message, (size_t)len);
	if (strcmp(client_text(c), REFUSAL) != 0)
		rc = fail(t, "the relay answered '%s' instead of '" REFUSAL "'",
		    client_text(c));
	else
		printf("    %s\n", client_text(c));
	client_close(c);
	return rc;
}

static const struct step {
	const char *name;
	int (*run)(struct talk *t);
	enum { NOTHING, PUSHES, WEB, BOT } needs;
} steps[] = {
	{ "alice took an address from the web page", alice_takes_address, WEB },
	{ "alice logged in, address created", alice_logs_in, NOTHING },
	{ "bob logged in, address created", bob_logs_in, NOTHING },
	{ "alice shows an invitation", alice_invites, NOTHING },
	{ "SecureJoin: both verified each other", securejoin, NOTHING },
	{ "bob's device token stored", bob_stores_token, PUSHES },
	{ "messages exchanged, all encrypted", exchange, NOTHING },
	{ "200 kB attachment arrived unchanged", send_attachment, NOTHING },
	{ "clear text refused", clear_text_bounces, NOTHING },
	{ "push notification for bob arrived", push_arrives, PUSHES },
	{ "alice met the echo bot", alice_meets_bot, BOT },
	{ "the echo bot sent text and file back", bot_echoes, BOT },
};

static int run_steps(struct talk *t)
{
	json_t *list = json_array();

	json_object_set_new(t->report, "steps", list);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		double begin = seconds_now(), took;
		int rc;

		if ((steps[i].needs == PUSHES && !t->pushes) ||
		    (steps[i].needs == WEB && t->web.imap_port == 0) ||
		    (steps[i].needs == BOT && !t->bot))
			continue;
		rc = steps[i].run(t);
		took = seconds_now() - begin;
		if (rc < 0) {
			printf("  FAILED after %.2f s: %s\n", took, steps[i].name);
			fprintf(stderr, "talk: %s: %s\n", steps[i].name, t->failure);
			json_object_set_new(t->report, "failed",
			    json_sprintf("%s: %s", steps[i].name, t->failure));
			return -1;
		}
		printf("  %-42s %6.2f s\n", steps[i].name, took);
		fflush(stdout);
		json_array_append_new(list,
		    json_pack("{s:s, s:f}", "name", steps[i].name, "seconds", took));
	}
	return 0;
}

static int remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void usage(void)
{
	fputs(
	    "usage: talk --server PATH --domain DOMAIN --imap-port N "
	    "--smtp-port N\n"
	    "            [--messages N] [--dir DIR] [--json FILE]\n"
	    "            [--web-port N] [--pushes FILE [--library FILE]] [--bot FILE]\n"
	    "  --server    the deltachat-rpc-server program\n"
	    "  --domain    of the new addresses\n"
	    "  --*-port    of the relay on 127.0.0.1: implicit TLS, any certificate\n"
	    "  --web-port  of the relay on 127.0.0.1: Alice uses no other\n"
	    "  --messages  each way (5)\n"
	    "  --dir       where the clients keep their data; must exist (a new folder "
	    "under /tmp)\n"
	    "  --json      where to write the report\n"
	    "  --library   libdeltachat, which Bob uses instead: it stores its device "
	    "token itself\n"
	    "  --bot       where the relay keeps its echo bot's invitation\n"
	    "  --pushes    the log of the relay's notification service, as "
	    "push_service "
	    "writes it\n",
	    stderr);
	exit(2);
}

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n == 0 || n > max)
		usage();
	return (unsigned)n;
}

static void parse_arguments(struct talk *t, int argc, char **argv)
{
	static const struct option options[] = {
		{ "server", required_argument, NULL, 's' },
		{ "domain", required_argument, NULL, 'd' },
		{ "imap-port", required_argument, NULL, 'i' },
		{ "smtp-port", required_argument, NULL, 'o' },
		{ "web-port", required_argument, NULL, 'w' },
		{ "messages", required_argument, NULL, 'n' },
		{ "dir", required_argument, NULL, 'D' },
		{ "json", required_argument, NULL, 'j' },
		{ "library", required_argument, NULL, 'l' },
		{ "bot", required_argument, NULL, 'b' },
		{ "pushes", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			t->alice.program.server = t->bob.program.server = optarg;
			break;
		case 'd':
			t->relay.domain = optarg;
			break;
		case 'i':
			t->relay.imap_port = number(optarg, 65535);
			break;
		case 'o':
			t->relay.smtp_port = number(optarg, 65535);
			break;
		case 'w':
			t->web.imap_port = number(optarg, 65535);
			break;
		case 'n':
			t->messages = number(optarg, MESSAGES_MAX);
			break;
		case 'D':
			t->dir = optarg;
			break;
		case 'j':
			t->json_path = optarg;
			break;
		case 'l':
			t->phone.library = optarg;
			t->bob.program.run = phone_serve;
			t->bob.program.arg = &t->phone;
			break;
		case 'p':
			t->pushes = optarg;
			break;
		case 'b':
			t->bot = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || !t->alice.program.server || !t->relay.domain ||
	    t->relay.imap_port == 0 || t->relay.smtp_port == 0 ||
	    (t->phone.library && !t->pushes))
		usage();
}

int main(int argc, char **argv)
{
	struct talk t = {
		.relay.host = "127.0.0.1",
		.messages = MESSAGES_DEFAULT,
		.alice.end.name = "alice",
		.bob.end.name = "bob",
		.phone.token = TOKEN,
		.report = json_object(),
	};
	char made[] = "/tmp/talk-XXXXXX";
	int rc;

	parse_arguments(&t, argc, argv);
	t.web = (struct deltachat_relay){ t.relay.domain, t.relay.host, t.web.imap_port,
		t.web.imap_port };
	t.alice.relay = t.bob.relay = &t.relay;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!t.dir)
		t.dir = mkdtemp(made);
	if (!t.dir) {
		perror("talk: no folder for the clients");
		return 1;
	}
	rc = run_steps(&t);
	deltachat_stop(t.alice.end.client);
	deltachat_stop(t.bob.end.client);
	if (t.json_path && json_dump_file(t.report, t.json_path, JSON_INDENT(2)) < 0) {
		fprintf(stderr, "talk: cannot write %s\n", t.json_path);
		rc = -1;
	}
	if (t.dir == made && rc == 0)
		nftw(made, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	else
		printf("  the clients' data and logs are in %s\n", t.dir);
	json_decref(t.report);
	free(t.invitation);
	free(t.bobs_token);
	return rc < 0 ? 1 : 0;
}
