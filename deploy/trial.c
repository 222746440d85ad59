/* Guests on a relay, and the ways to its ports. */
#include "deploy/trial.h"

#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "deploy/host_signal.h"
#include "deploy/progress.h"

#define NAME_LENGTH     9 /* what clients invent, of relays whose config is not known */
#define PASSWORD_LENGTH 22    /* the same */
#define ANSWER_MAX      16384 /* bytes of JSON that a web server answers */

struct trial {
	struct host_signals signals;
	bool verbose;
	struct trial_relay relay[TRIAL_RELAYS];
	struct text guests[TRIAL_RELAYS]; /* addresses, one a line */
	size_t nrelays;
};

#define CONTROL                                                                        \
	"command -v chatmailctl >/dev/null || {\n"                                     \
	"	echo 'there is no chatmailctl: is this server deployed to?' >&2\n"           \
	"	exit 1\n"                                                                    \
	"}\n"

const char trial_ask_script[] =
    "# may guests come, and can they be deleted?\n" CONTROL
    "state=$(chatmailctl registration status)\n"
    "[ \"$state\" = open ] || {\n"
    "	printf 'guests are not let in, registration is %s\\n' \"$state\" >&2\n"
    "	exit 1\n"
    "}\n";

/* An address may have been noted without ever getting as far as a login. */
const char trial_remove_script[] =
    "# delete the accounts that were made to try the relay\n" CONTROL "left=0\n"
    "while read -r address; do\n"
    "	said=$(chatmailctl --yes -- users delete \"$address\" 2>&1 </dev/null) ||\n"
    "		case $said in\n"
    "		*'no such account'*) ;;\n"
    "		*) printf '%s: %s\\n' \"$address\" \"$said\" >&2; left=1 ;;\n"
    "		esac\n"
    "done\n"
    "exit $left\n";

static const char *choose(const char *option, const char *variable, const char *other)
{
	const char *value = getenv(variable);

	if (option)
		return option;
	return value && *value ? value : other;
}

/* The name behind "[192.0.2.1]". */
static char *strip_brackets(const char *domain)
{
	struct span s = span_of(domain);
	char *host;

	if (s.len > 2 && s.data[0] == '[' && s.data[s.len - 1] == ']')
		s = span_make(s.data + 1, s.len - 2);
	host = span_dup(s);
	if (!host)
		abort();
	return host;
}

static unsigned clamp(int value, int least, int most)
{
	value = value < least ? least : value;
	return (unsigned)(value > most ? most : value);
}

static void add_first(struct trial *t, const struct config *c, const char *ssh_host)
{
	t->relay[t->nrelays++] = (struct trial_relay){
		.domain = c->mail_domain,
		.host = strip_brackets(c->mail_domain_bare),
		.ssh_host = ssh_host,
		.any_certificate = c->tls_mode == TLS_SELF,
		.name_length =
		    clamp(NAME_LENGTH, c->username_min_length, c->username_max_length),
		.password_length = clamp(
		    PASSWORD_LENGTH, c->password_min_length, TRIAL_PASSWORD_SIZE - 1),
	};
}

static void add_second(struct trial *t, const char *domain, const char *ssh_host)
{
	t->relay[t->nrelays++] = (struct trial_relay){
		.domain = domain,
		.host = strip_brackets(domain),
		.ssh_host = ssh_host,
		.any_certificate = domain[0] == '_' || domain[0] == '[',
		.name_length = NAME_LENGTH,
		.password_length = PASSWORD_LENGTH,
	};
}

/* Run script on the server of a relay; tells why it did not do its work. */
static bool run_there(
    const struct trial *t, size_t relay, const char *script, struct span in)
{
	const char *name = t->relay[relay].ssh_host;
	struct host_reply reply = { 0 };
	char error[HOST_ERROR_MAX];
	struct host *host = host_open(name, t->verbose, error);
	bool good = host && host_run(host, script, in, NULL, NULL, &reply, error);

	if (good && reply.status != 0) {
		snprintf(error, sizeof(error), "%.*s",
		    (int)(reply.err.len < 900 ? reply.err.len : 900),
		    text_span(&reply.err).data);
		good = false;
	}
	if (!good && !(host && host_interrupted(host)))
		say_bad("%s: %s", name, error);
	host_reply_free(&reply);
	host_close(host);
	return good;
}

static void destroy(struct trial *t)
{
	for (size_t i = 0; i < t->nrelays; i++) {
		free(t->relay[i].host);
		text_free(&t->guests[i]);
	}
	host_signals_restore(&t->signals);
	free(t);
}

struct trial *trial_begin(
    const struct config *config, const struct trial_options *options, bool verbose)
{
	const char *second = choose(options->domain2, "CHATMAIL_DOMAIN2", NULL);
	struct trial *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->verbose = verbose;
	host_signals_catch(&t->signals);
	add_first(t, config,
	    choose(options->ssh_host, "CHATMAIL_SSH", config->mail_domain_bare));
	if (second)
		add_second(
		    t, second, choose(options->ssh_host2, "CHATMAIL_SSH2", NULL));
	if (second && !t->relay[1].ssh_host)
		t->relay[1].ssh_host = t->relay[1].host;
	for (size_t i = 0; i < t->nrelays; i++) {
		if (run_there(t, i, trial_ask_script, span_of("")))
			continue;
		destroy(t);
		return NULL;
	}
	return t;
}

/* Tell of the guests of a relay that could not be deleted. */
static void say_left(const struct trial *t, size_t relay)
{
	struct span rest = text_span(&t->guests[relay]), line;

	say_bad("These accounts may be left on %s; delete them by: cmdeploy users "
		"delete ADDRESS",
	    t->relay[relay].ssh_host);
	while (rest.len > 0 && span_cut(&rest, '\n', &line))
		say("  %.*s", SPAN_ARG(line));
}

int trial_end(struct trial *t, int status)
{
	int sig = host_signals_caught();

	for (size_t i = 0; i < t->nrelays; i++) {
		if (t->guests[i].len == 0 ||
		    run_there(t, i, trial_remove_script, text_span(&t->guests[i])))
			continue;
		say_left(t, i);
		status = COMMAND_FAILED;
	}
	destroy(t);
	/* Whatever it was noted by is forgotten since the first connection. */
	if (sig != 0)
		raise(sig);
	return status;
}

bool trial_interrupted(const struct trial *t)
{
	return host_signals_caught() != 0;
}

size_t trial_relays(const struct trial *t)
{
	return t->nrelays;
}

const struct trial_relay *trial_relay(const struct trial *t, size_t relay)
{
	return &t->relay[relay];
}

void trial_random(char *text, size_t len)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32 */
	unsigned char random;

	for (size_t i = 0; i < len; i++) {
		if (getrandom(&random, 1, 0) != 1)
			abort();
		text[i] = alphabet[random % 32];
	}
	text[len] = '\0';
}

void trial_note(struct trial *t, size_t relay, const char *address)
{
	text_add(&t->guests[relay], address);
	text_add(&t->guests[relay], "\n");
}

void trial_invent(struct trial *t, size_t relay, struct trial_guest *guest)
{
	const struct trial_relay *r = &t->relay[relay];
	char name[65];

	trial_random(name, r->name_length);
	trial_random(guest->password, r->password_length);
	snprintf(guest->address, sizeof(guest->address), "%s@%s", name, r->domain);
	trial_note(t, relay, guest->address);
}

struct dial *trial_dial(
    const struct trial *t, size_t relay, uint16_t port, enum dial_tls tls)
{
	const struct trial_relay *r = &t->relay[relay];
	const struct dial_target target = {
		.host = r->host,
		.port = port,
		.tls = tls,
		.any_certificate = r->any_certificate,
	};

	return dial_open(&target, TRIAL_TIMEOUT_MS);
}

__attribute__((format(printf, 2, 3))) static bool fail(
    char error[TRIAL_ERROR_MAX], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error, TRIAL_ERROR_MAX, format, ap);
	va_end(ap);
	return false;
}

bool trial_imap(const struct trial *t, size_t relay, const struct trial_guest *guest,
    struct imap_talk *talk, char error[TRIAL_ERROR_MAX])
{
	*talk =
	    (struct imap_talk){ .dial = trial_dial(t, relay, 993, DIAL_FROM_START) };
	if (imap_talk_begin(talk) &&
	    imap_talk_login(talk, guest->address, guest->password))
		return true;
	return fail(error, "IMAP login: %s",
	    talk->result[0] ? talk->result : dial_error(talk->dial));
}

bool trial_smtp(const struct trial *t, size_t relay, const struct trial_guest *guest,
    struct smtp_talk *talk, char error[TRIAL_ERROR_MAX])
{
	unsigned code;

	*talk =
	    (struct smtp_talk){ .dial = trial_dial(t, relay, 465, DIAL_FROM_START) };
	code = smtp_talk_begin(talk, TRIAL_HELO, false);
	if (code == 250)
		code = smtp_talk_login(talk, guest->address, guest->password);
	if (code == 235)
		return true;
	if (code == 0)
		return fail(error, "SMTP login: %s", dial_error(talk->dial));
	return fail(error, "SMTP login: %u %s", code, talk->reply.text);
}

bool trial_login(const struct trial *t, size_t relay, enum trial_door door,
    const struct trial_guest *guest, char error[TRIAL_ERROR_MAX])
{
	struct imap_talk imap = { 0 };
	struct smtp_talk smtp = { 0 };
	bool good = door == TRIAL_IMAP ? trial_imap(t, relay, guest, &imap, error)
				       : trial_smtp(t, relay, guest, &smtp, error);

	dial_close(imap.dial);
	dial_close(smtp.dial);
	return good;
}

/* The object in the body of an answer that tells its length. */
static json_t *read_object(struct dial *d)
{
	static const char field[] = "Content-Length:";
	char body[ANSWER_MAX];
	size_t len = 0;
	struct span line;

	while (dial_line(d, &line) && line.len > 0) {
		if (span_starts_nocase(line, field))
			len = strtoul(line.data + strlen(field), NULL, 10);
	}
	if (len > sizeof(body) || !dial_read(d, body, len))
		return NULL;
	return json_loadb(body, len, 0, NULL);
}

static bool copy(char *to, size_t size, const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value && (size_t)snprintf(to, size, "%s", value) < size;
}

bool trial_take_account(struct trial *t, size_t relay, struct trial_guest *guest,
    char error[TRIAL_ERROR_MAX])
{
	struct dial *d = trial_dial(t, relay, 443, DIAL_FROM_START);
	struct text request = { 0 };
	json_t *o;
	bool good;

	/* Without chunks, and the connection ends. */
	text_printf(&request,
	    "POST /new HTTP/1.0\r\nHost: %s\r\nContent-Length: 0\r\n\r\n",
	    t->relay[relay].host);
	dial_write(d, text_span(&request));
	o = read_object(d);
	good = copy(guest->address, sizeof(guest->address), o, "email") &&
	       copy(guest->password, sizeof(guest->password), o, "password");
	if (good)
		trial_note(t, relay, guest->address);
	else
		fail(error, "POST /new: %s",
		    o               ? "no account in the answer"
		    : dial_error(d) ? dial_error(d)
				    : "no JSON in the answer");
	json_decref(o);
	text_free(&request);
	dial_close(d);
	return good;
}
