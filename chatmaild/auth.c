/*
 * Service "auth": Dovecot's passdb and userdb. Passwords are not compared here: both
 * lookups answer the stored hash, Dovecot verifies. The first login makes the account.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "chatmaild/dict_conn.h"
#include "chatmaild/log.h"
#include "chatmaild/mailbox.h"
#include "chatmaild/users.h"
#include "proto/address.h"

#define NAMESPACE    "shared"
#define ITERATE_PATH "shared/userdb/"
#define ARGS_SMALL   1024 /* bytes of password and user as they come, nearly always */
#define ROWS_SLICE   256  /* directory entries of one loop turn */

/* Every byte of the two directory parts may become "\uXXXX", every other "\X". */
#define JSON_MAX (6 * MAILBOX_PATH_MAX + 2 * PASSWORD_HASH_MAX + 2 * ADDRESS_MAX + 256)

struct auth_counters {
	struct dict_counters dict;
	struct users_counters users;
};

struct auth {
	struct dict_server server;     /* first, for dict_service_*() */
	struct auth_counters counters; /* a copy, for the metrics */
};

static struct auth *auth_of(struct dict_conn *c)
{
	return dict_conn_server(c)->service;
}

/* A JSON text under construction; sizes are bounded by JSON_MAX. */
struct json {
	size_t len;
	char text[JSON_MAX];
};

static void json_put(struct json *j, const char *text)
{
	size_t len = strlen(text);

	memcpy(j->text + j->len, text, len);
	j->len += len;
}

static void json_put_unit(struct json *j, unsigned unit)
{
	j->len += (size_t)snprintf(
	    j->text + j->len, sizeof(j->text) - j->len, "\\u%04x", unit & 0xffff);
}

/* The code point of a UTF-8 sequence at p (NUL-terminated) and its length. */
static unsigned utf8_decode(const unsigned char *p, size_t *len)
{
	unsigned point = 0xfffd;
	size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : *p >= 0xc2 ? 2 : 1;

	*len = 1;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return point; /* broken: U+FFFD for this byte */
	if (n == 2)
		point = (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
	else if (n == 3)
		point = (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
	else if (n == 4)
		point = (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 |
			(p[2] & 0x3fU) << 6 | (p[3] & 0x3fU);
	if ((n == 3 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) ||
	    (n == 4 && (point < 0x10000 || point > 0x10ffff)))
		return 0xfffd;
	*len = n;
	return point;
}

/* The inside of a JSON string, in ASCII. */
static void json_put_string(struct json *j, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t len = 1;
		unsigned c = *p;

		if (c >= ' ' && c < 0x7f) {
			if (c == '"' || c == '\\')
				j->text[j->len++] = '\\';
			j->text[j->len++] = (char)c;
		} else if (c < 0x80) {
			json_put_unit(j, c);
		} else {
			c = utf8_decode(p, &len);
			if (c >= 0x10000) {
				json_put_unit(j, 0xd800 + ((c - 0x10000) >> 10));
				c = 0xdc00 + ((c - 0x10000) & 0x3ff);
			}
			json_put_unit(j, c);
		}
		p += len;
	}
}

/* What Dovecot gets to know of an account; unknown members would become auth fields. */
static void reply_user(struct dict_conn *c, const struct user *user)
{
	const struct config *config = auth_of(c)->server.daemon->config;
	struct json j;

	j.len = 0;
	json_put(&j, "{\"addr\": \"");
	json_put_string(&j, user->address);
	json_put(&j, "\", \"home\": \"");
	json_put_string(&j, config->mailboxes_dir);
	json_put(&j, "/");
	json_put_string(&j, user->address);
	json_put(&j, "\", \"uid\": \"");
	json_put_string(&j, config->mail_user);
	json_put(&j, "\", \"gid\": \"");
	json_put_string(&j, config->mail_user);
	json_put(&j, "\", \"password\": \"");
	json_put_string(&j, user->hash);
	json_put(&j, "\"}");
	dict_conn_reply(c, 'O', span_make(j.text, j.len));
}

static void reply_answer(
    struct dict_conn *c, enum users_answer answer, const struct user *user)
{
	switch (answer) {
	case USERS_FOUND:
		reply_user(c, user);
		return;
	case USERS_ABSENT:
	case USERS_BLOCKED:
	case USERS_REFUSED:
		dict_conn_reply(c, 'N', span_make("", 0));
		return;
	case USERS_TROUBLE:
		dict_conn_reply(c, 'F', span_of("temporary failure"));
		return;
	}
}

static void on_made(void *arg, enum users_answer answer, const struct user *user)
{
	struct dict_conn *c = dict_ticket_redeem(arg);

	if (c)
		reply_answer(c, answer, user);
}

/* The bytes Dovecot lets through (auth_username_chars), and the brackets of an IPv4
 * relay. Others never name an account. */
static bool user_chars(struct span user)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789.-_@[]";

	for (size_t i = 0; i < user.len; i++)
		if (!memchr(allowed, user.data[i], sizeof(allowed) - 1))
			return false;
	return true;
}

static bool is_ours(const struct daemon *d, struct span address)
{
	return user_chars(address) && address_is_path(address) &&
	       address_in_domain(address, d->config->mail_domain);
}

static void passdb(
    struct dict_conn *c, struct span password, struct span address, struct span client)
{
	const struct users_applicant by = { .client = client };
	const struct daemon *d = auth_of(c)->server.daemon;
	enum users_answer answer = USERS_ABSENT;
	struct user user;

	if (!is_ours(d, address))
		answer = USERS_REFUSED;
	else if (!users_is_unseen(d->users, address))
		answer = users_find(d->users, address, &user);

	if (answer == USERS_ABSENT)
		users_make(
		    d->users, address, password, &by, on_made, dict_conn_defer(c));
	else
		reply_answer(c, answer, &user);
}

static void userdb(struct dict_conn *c, struct span address)
{
	const struct daemon *d = auth_of(c)->server.daemon;
	enum users_answer answer = USERS_REFUSED;
	struct user user;

	if (is_ours(d, address))
		answer = users_find(d->users, address, &user);
	reply_answer(c, answer, &user);
}

/* args is ours to write to: it is unquoted in place. */
static void lookup_args(struct dict_conn *c, bool pass, char *args, size_t len)
{
	struct span field[3];
	int n = dict_split_quoted(args, len, field, 3);

	if (pass && n == 2)
		passdb(c, field[0], field[1], span_make("", 0));
	else if (pass && n == 3)
		passdb(c, field[0], field[1], field[2]);
	else if (!pass && n == 1)
		userdb(c, field[0]);
	else
		dict_conn_reply(c, 'N', span_make("", 0)); /* malformed */
}

/* namespace/type/args; only the first two slashes count, passwords may hold some. */
static void on_lookup(struct dict_conn *c, struct span key, struct span user)
{
	struct span rest = key, namespace, type;
	char small[ARGS_SMALL], *args = small;

	if (!span_cut(&rest, '/', &namespace) || !span_cut(&rest, '/', &type) ||
	    !rest.data) {
		dict_conn_reply(c, 'N', span_make("", 0));
		return;
	}
	if (!span_is(namespace, NAMESPACE) ||
	    (!span_is(type, "passdb") && !span_is(type, "userdb"))) {
		dict_conn_reply(c, 'F', span_of("unknown kind of lookup"));
		return;
	}
	if (rest.len > sizeof(small)) {
		args = malloc(rest.len);
		if (!args)
			abort();
	}
	if (rest.len)
		memcpy(args, rest.data, rest.len);
	lookup_args(c, span_is(type, "passdb"), args, rest.len);
	explicit_bzero(args, rest.len);
	if (args != small)
		free(args);
}

/* Listing all accounts: the directory, a slice a turn. */
struct listing {
	struct dict_rows rows;
	DIR *dir;
};

static bool listing_more(struct dict_rows *rows, struct dict_conn *c)
{
	const struct listing *l = (const struct listing *)rows;

	for (unsigned i = 0; i < ROWS_SLICE; i++) {
		char key[sizeof(ITERATE_PATH) + NAME_MAX];
		const struct dirent *e = readdir(l->dir);
		int len;

		if (!e)
			return false;
		if (!strchr(e->d_name, '@'))
			continue;
		len = snprintf(key, sizeof(key), ITERATE_PATH "%s", e->d_name);
		dict_conn_row(c, span_make(key, (size_t)len), span_make("", 0));
	}
	return true;
}

static void listing_destroy(struct dict_rows *rows)
{
	struct listing *l = (struct listing *)rows;

	closedir(l->dir);
	free(l);
}

static void on_iterate(struct dict_conn *c, struct span path, struct span user)
{
	DIR *dir = NULL;
	struct listing *l;

	if (span_is(path, ITERATE_PATH))
		dir = opendir(auth_of(c)->server.daemon->config->mailboxes_dir);
	if (!dir) {
		dict_conn_end(c);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->rows.more = listing_more;
	l->rows.destroy = listing_destroy;
	l->dir = dir;
	dict_conn_stream(c, &l->rows);
}

static void on_commit(struct dict_conn *c, const struct dict_transaction *t)
{
	dict_conn_reply(c, 'F', span_make("", 0)); /* nothing can be set here */
}

static const struct dict_handler auth_handler = {
	.lookup = on_lookup,
	.iterate = on_iterate,
	.commit = on_commit,
};

static void *auth_start(struct daemon *d, const struct service *self)
{
	struct auth *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	dict_server_init(&a->server, d, self->name, &auth_handler, a);
	return a;
}

static void auth_stop(void *state)
{
	struct auth *a = state;

	dict_server_stop(&a->server);
	free(a);
}

static const void *auth_counters(void *state)
{
	struct auth *a = state;

	a->counters.dict = a->server.counters;
	a->counters.users = *users_counters(a->server.daemon->users);
	return &a->counters;
}

#define USERS(field) offsetof(struct auth_counters, users.field)
#define CACHE                                                                          \
	"chatmail_users_cache_total", "Lookups of existing accounts, by where "        \
				      "the hash came from."
#define REFUSED "chatmail_accounts_refused_total", "Accounts not made, by reason."

static const struct metric_def auth_metrics[] = {
	DICT_METRICS(struct auth_counters),
	DICT_LOOKUP_TIME(struct auth_counters),
	{ CACHE, OPENMETRICS_COUNTER, "from=\"memory\"", USERS(hits) },
	{ CACHE, OPENMETRICS_COUNTER, "from=\"file\"", USERS(misses) },
	{ "chatmail_users_cached", "Accounts held in memory.", OPENMETRICS_GAUGE, NULL,
	    USERS(known) },
	{ "chatmail_users_cache_bytes", "Memory taken by them.", OPENMETRICS_GAUGE,
	    NULL, USERS(cache_bytes) },
	{ "chatmail_accounts_created_total", "Accounts made by a first login.",
	    OPENMETRICS_COUNTER, NULL, USERS(created) },
	{ "chatmail_creation_seconds",
	    "Accounts made, from the login to the moment it may be answered.",
	    OPENMETRICS_HISTOGRAM, NULL, USERS(creation) },
	{ "chatmail_accounts_creating", "Accounts being made now.", OPENMETRICS_GAUGE,
	    NULL, USERS(creating) },
	{ "chatmail_accounts_create_failed_total",
	    "Accounts not made for trouble with disk or database.", OPENMETRICS_COUNTER,
	    NULL, USERS(create_failed) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"closed\"", USERS(refused_closed) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"password\"",
	    USERS(refused_password) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"name\"", USERS(refused_name) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"load\"", USERS(refused_load) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"memory\"", USERS(refused_memory) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"disk\"", USERS(refused_disk) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"rate\"", USERS(refused_rate) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"network\"", USERS(refused_network) },
	{ REFUSED, OPENMETRICS_COUNTER, "reason=\"invite\"", USERS(refused_invite) },
	{ "chatmail_users_rebuilt",
	    "Accounts read from the mailbox directories to rebuild "
	    "the database, since the start.",
	    OPENMETRICS_GAUGE, NULL, USERS(rebuilt) },
	{ "chatmail_users_rebuilding", "1 while that goes on.", OPENMETRICS_GAUGE, NULL,
	    USERS(rebuilding) },
};

const struct service auth_service = {
	.name = "auth",
	.labels = "service=\"auth\"",
	.socket = offsetof(struct config, auth_socket),
	.socket_mode = 0660,
	.max_connections = 20000,
	.start = auth_start,
	.accept = dict_service_accept,
	.drain = dict_service_drain,
	.pending = dict_service_pending,
	.stop = auth_stop,
	.metrics = auth_metrics,
	.nmetrics = sizeof(auth_metrics) / sizeof(auth_metrics[0]),
	.counters = auth_counters,
};
