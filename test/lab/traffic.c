/*
 * Two real Delta Chat clients that go on sending to each other, whatever happens to their
 * relay, until a file says stop. Then every message must be there, once, and encrypted; the
 * clients are never told to log in again.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deploy/chat.h"

#define TIMEOUT_MS 60000
#define WAIT_SECONDS                                                                   \
	240 /* for the last messages: clients try again less and less often */

struct traffic {
	struct deltachat_program program;
	const char *dir;
	struct chat chat;
	unsigned sent; /* each way */
	char error[CHAT_ERROR_MAX];
};

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("traffic: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return false;
}

static bool client_failed(struct traffic *t, const struct chat_end *p)
{
	chat_failed(p, p == &t->chat.a ? &t->chat.b : &t->chat.a, t->error);
	return fail("%s", t->error);
}

/* login: ADDRESS:PASSWORD */
static bool come_online(struct traffic *t, struct chat_end *p, const char *login)
{
	char address[256], password[128];

	if (sscanf(login, "%255[^:]:%127s", address, password) != 2)
		return fail("%s: write ADDRESS:PASSWORD", login);
	p->client = deltachat_start(&t->program, t->dir, p->name);
	if (!p->client)
		return fail("cannot start a client in %s: %s", t->dir, strerror(errno));
	deltachat_set_timeout(p->client, TIMEOUT_MS);
	if (deltachat_find(p->client, address, password) < 0)
		return client_failed(t, p);
	return true;
}

/* A file of our folder that says something to whoever started us, or the reverse. */
static bool is_there(const struct traffic *t, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	return access(path, F_OK) == 0;
}

static bool send_one(struct traffic *t, const struct chat_end *from)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %u", from->name, t->sent);
	return deltachat_send(from->client, from->chat, text, NULL) != 0 ||
	       client_failed(t, from);
}

static bool send_until_stopped(struct traffic *t)
{
	while (!is_there(t, "stop")) {
		if (!send_one(t, &t->chat.a) || !send_one(t, &t->chat.b))
			return false;
		t->sent++;
		printf("sent %u\n", t->sent);
		chat_pause();
	}
	return true;
}

/* ---- at the end ---- */

/* How often each text came; 0 if the clients' answers make no sense. */
static bool count_texts(
    const struct chat_end *p, const char *from, unsigned *seen, unsigned n)
{
	json_t *ids = deltachat_call(p->client, "get_message_ids",
	    json_pack("[i, I, b, b]", 1, (json_int_t)p->chat, 0, 0));
	json_t *messages =
	    ids ? deltachat_call(p->client, "get_messages", json_pack("[i, O]", 1, ids))
		: NULL;
	const json_t *loaded;
	const char *key;

	memset(seen, 0, n * sizeof(*seen));
	json_object_foreach(messages, key, loaded)
	{
		const char *text = json_string_value(json_object_get(loaded, "text"));
		size_t len = strlen(from);
		unsigned i;

		if (!text || strncmp(text, from, len) != 0 || text[len] != ' ')
			continue;
		i = (unsigned)strtoul(text + len, NULL, 10);
		if (i < n && json_is_true(json_object_get(loaded, "showPadlock")))
			seen[i]++;
	}
	json_decref(ids);
	json_decref(messages);
	return messages != NULL;
}

/* Is each there once? The first that is not, in *which. */
static bool all_once(const unsigned *seen, unsigned n, unsigned *which)
{
	for (*which = 0; *which < n; ++*which) {
		if (seen[*which] != 1)
			return false;
	}
	return true;
}

static bool check_end(
    struct traffic *t, const struct chat_end *to, const struct chat_end *from)
{
	unsigned *seen = calloc(t->sent + 1, sizeof(*seen)), which = 0;
	const struct timespec second = { .tv_sec = 1 };
	bool good = false;

	if (!seen)
		abort();
	for (unsigned i = 0; i < WAIT_SECONDS && !good; i++) {
		if (!count_texts(to, from->name, seen, t->sent)) {
			free(seen);
			return client_failed(t, to);
		}
		good = all_once(seen, t->sent, &which);
		if (!good)
			nanosleep(&second, NULL);
	}
	if (!good)
		fail("'%s %u' came %u times to %s; %s; %s", from->name, which,
		    seen[which], to->name, deltachat_trouble(from->client),
		    deltachat_trouble(to->client));
	free(seen);
	return good;
}

int main(int argc, char **argv)
{
	struct traffic t = { .chat = { { .name = "alice" }, { .name = "bob" } } };
	bool good;

	if (argc != 5) {
		fputs("usage: traffic SERVER DIR ALICE BOB\n"
		      "  SERVER      the deltachat-rpc-server program\n"
		      "  DIR         where the clients keep their data; must exist. "
		      "Ends when "
		      "DIR/stop does\n"
		      "  ALICE, BOB  ADDRESS:PASSWORD\n",
		    stderr);
		return 2;
	}
	t.program.server = argv[1];
	t.dir = argv[2];
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("pid %d\n", (int)getpid());
	good = come_online(&t, &t.chat.a, argv[3]) &&
	       come_online(&t, &t.chat.b, argv[4]) &&
	       (chat_meet(&t.chat, t.error) || fail("%s", t.error)) &&
	       send_until_stopped(&t) && check_end(&t, &t.chat.b, &t.chat.a) &&
	       check_end(&t, &t.chat.a, &t.chat.b);
	if (good)
		printf("all %u messages each way came once\n", t.sent);
	deltachat_stop(t.chat.a.client);
	deltachat_stop(t.chat.b.client);
	return good ? 0 : 1;
}
