/*
 * Two real Delta Chat clients on two relays: they log in as they are told, get to know each
 * other by SecureJoin and talk; every message must arrive encrypted. Then a command runs, and
 * one more message goes to Alice: her relay may have to notify somebody by now.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "deploy/deltachat.h"

#define ROUNDS     5
#define TIMEOUT_MS 60000
#define FIND_OUT   "configure:" /* then ADDRESS:PASSWORD */

struct person {
	const char *name, *login;
	struct deltachat *client;
	uint32_t chat; /* with the other */
};

struct chat {
	struct deltachat_program program;
	const char *dir, *command;
	struct person alice, bob;
};

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("chat: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return false;
}

/* p's client tells why; the cause may well lie with the other's. */
static bool client_failed(struct chat *c, const struct person *p)
{
	const struct person *other = p == &c->alice ? &c->bob : &c->alice;
	const char *trouble = other->client ? deltachat_trouble(other->client) : "";

	return fail("%s: %s%s%s", p->name, deltachat_error(p->client),
	    *trouble ? "; the other's client said: " : "", trouble);
}

static int log_in(struct person *p)
{
	char address[256], password[128];

	if (strncmp(p->login, FIND_OUT, strlen(FIND_OUT)) != 0)
		return deltachat_follow(p->client, p->login);
	if (sscanf(p->login, FIND_OUT "%255[^:]:%127s", address, password) != 2)
		return -1;
	return deltachat_find(p->client, address, password);
}

/* Whoever calls us learns the address and the password, too. */
static bool tell_login(struct chat *c, struct person *p)
{
	char *address = deltachat_address(p->client);
	char *password = deltachat_config(p->client, "mail_pw");
	bool good = address && password;

	if (good)
		printf("%s %s %s\n", p->name, address, password);
	else
		client_failed(c, p);
	free(address);
	free(password);
	return good;
}

static bool come_online(struct chat *c, struct person *p)
{
	double begin = seconds_now();

	p->client = deltachat_start(&c->program, c->dir, p->name);
	if (!p->client)
		return fail("cannot start a client in %s: %s", c->dir, strerror(errno));
	deltachat_set_timeout(p->client, TIMEOUT_MS);
	if (log_in(p) < 0)
		return client_failed(c, p);
	printf("onboard %s %.2f s\n", p->name, seconds_now() - begin);
	return tell_login(c, p);
}

static bool get_acquainted(struct chat *c)
{
	char *invitation = deltachat_invite(c->alice.client);
	double begin = seconds_now();
	uint32_t contact;

	if (!invitation)
		return client_failed(c, &c->alice);
	c->bob.chat = deltachat_join(c->bob.client, invitation);
	free(invitation);
	if (c->bob.chat == 0 || deltachat_joined(c->bob.client) < 0)
		return client_failed(c, &c->bob);
	if (deltachat_invited(c->alice.client, &c->alice.chat, &contact) < 0)
		return client_failed(c, &c->alice);
	printf("securejoin %.2f s\n", seconds_now() - begin);
	return true;
}

/* One message must arrive as it was sent, encrypted. */
static bool say(
    struct chat *c, struct person *from, struct person *to, const char *text)
{
	struct deltachat_message m;
	bool good = true;

	if (deltachat_send(from->client, from->chat, text, NULL) == 0)
		return client_failed(c, from);
	if (deltachat_receive(to->client, &m) < 0)
		return client_failed(c, to);
	if (strcmp(m.text, text) != 0)
		good = fail("%s got '%s' instead of '%s'", to->name, m.text, text);
	else if (!m.encrypted)
		good = fail("%s: '%s' is not shown as encrypted", to->name, text);
	deltachat_message_deinit(&m);
	return good;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* As people do: a client asked for more than one message a second holds them back. */
static void pause_between_rounds(void)
{
	const struct timespec pause = { .tv_sec = 1, .tv_nsec = 200 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

static bool talk(struct chat *c)
{
	double ms[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		double begin;

		pause_between_rounds();
		begin = seconds_now();
		if (!say(c, &c->alice, &c->bob, "How are you?") ||
		    !say(c, &c->bob, &c->alice, "Well, and you?"))
			return false;
		ms[i] = (seconds_now() - begin) * 1000;
	}
	qsort(ms, ROUNDS, sizeof(ms[0]), compare_doubles);
	printf("talk %d rounds: min %.0f ms, median %.0f ms, max %.0f ms\n", ROUNDS,
	    ms[0], ms[ROUNDS / 2], ms[ROUNDS - 1]);
	return true;
}

static bool one_more(struct chat *c)
{
	fflush(stdout);
	if (!c->command)
		return true;
	if (system(c->command) != 0)
		return fail("the command between failed");
	pause_between_rounds();
	return say(c, &c->bob, &c->alice, "Did it ring?");
}

int main(int argc, char **argv)
{
	struct chat c = {
		.alice.name = "alice",
		.bob.name = "bob",
	};
	bool good;

	if (argc != 5 && argc != 6) {
		fputs("usage: chat SERVER DIR ALICE BOB [COMMAND]\n"
		      "  SERVER      the deltachat-rpc-server program\n"
		      "  DIR         where the clients keep their data; must exist\n"
		      "  ALICE, BOB  a link of theirs, or configure:ADDRESS:PASSWORD\n"
		      "  COMMAND     what the shell runs before the last message\n",
		    stderr);
		return 2;
	}
	c.program.server = argv[1];
	c.dir = argv[2];
	c.alice.login = argv[3];
	c.bob.login = argv[4];
	c.command = argv[5];
	setvbuf(stdout, NULL, _IOLBF, 0);
	good = come_online(&c, &c.alice) && come_online(&c, &c.bob) &&
	       get_acquainted(&c) && talk(&c) && one_more(&c);
	deltachat_stop(c.alice.client);
	deltachat_stop(c.bob.client);
	return good ? 0 : 1;
}
