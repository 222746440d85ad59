/* Measuring with real clients: how they come online, and how long messages take. */
#include "deploy/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define LARGE_BYTES (1 << 20) /* of a file; clients send such as two messages */

static void pause_for(double seconds)
{
	const struct timespec pause = { .tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&pause, NULL);
}

/*
 * A client with a new address on a relay, as if its user had typed both: it looks for the
 * servers itself. Only of a relay without a name it has to be told where they are.
 */
static bool come_online(struct bench *b, size_t relay, struct chat_end *end)
{
	const struct trial_relay *r = trial_relay(b->trial, relay);
	const struct deltachat_relay servers = { r->domain, r->host, 993, 465 };
	struct trial_guest guest;
	char folder[32];
	int rc;

	snprintf(folder, sizeof(folder), "%u", ++b->clients);
	trial_invent(b->trial, relay, &guest);
	end->client = deltachat_start(&b->program, b->dir, folder);
	if (!end->client) {
		snprintf(b->error, sizeof(b->error), "cannot start a client in %s: %s",
		    b->dir, strerror(errno));
		return false;
	}
	deltachat_set_timeout(end->client, TRIAL_TIMEOUT_MS);
	if (r->domain[0] == '[')
		rc = deltachat_login(
		    end->client, &servers, guest.address, guest.password);
	else
		rc = deltachat_find(end->client, guest.address, guest.password);
	return rc == 0 || chat_failed(end, &(struct chat_end){ 0 }, b->error);
}

static double onboard(struct bench *b, void *arg)
{
	struct chat_end newcomer = { .name = "a new client" };
	double begin = bench_now(), took;

	took = come_online(b, 0, &newcomer) ? bench_now() - begin : -1;
	deltachat_stop(newcomer.client);
	return took;
}

static unsigned half(unsigned rounds)
{
	return (rounds + 1) / 2;
}

bool bench_onboarding(struct bench *b)
{
	return bench_repeat(b, "onboarding",
	    "Client: a new address, until its inbox is watched", half(b->rounds),
	    onboard, NULL);
}

/* There and back; file may be NULL. What the rate limit wants is waited for before. */
static double round_trip(struct bench *b, const struct chat *c, const char *file)
{
	double begin;

	chat_pause();
	pause_for(file ? 2 * b->pace : b->pace);
	begin = bench_now();
	if (!chat_say(&c->a, &c->b, "How are you?", file, b->error) ||
	    !chat_say(&c->b, &c->a, "Well, and you?", NULL, b->error))
		return -1;
	return bench_now() - begin;
}

static double small_round_trip(struct bench *b, void *arg)
{
	return round_trip(b, arg, NULL);
}

/* One that nobody can compress. False with the reason. */
static bool write_large_file(struct bench *b, const char *path)
{
	FILE *file = fopen(path, "we");
	unsigned char bytes[256]; /* what getrandom() gives whole */
	bool good = file != NULL;

	for (size_t n = 0; good && n < LARGE_BYTES; n += sizeof(bytes)) {
		good = getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes) &&
		       fwrite(bytes, sizeof(bytes), 1, file) == 1;
	}
	if (file && fclose(file) != 0)
		good = false;
	if (!good)
		snprintf(
		    b->error, sizeof(b->error), "%.120s: %s", path, strerror(errno));
	return good;
}

static double large_round_trip(struct bench *b, void *arg)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/large.bin", b->dir);
	return write_large_file(b, path) ? round_trip(b, arg, path) : -1;
}

static double failed(
    struct bench *b, const struct chat_end *end, const struct chat_end *other)
{
	chat_failed(end, other, b->error);
	return -1;
}

/* Many at once, until the last is there. */
static double burst(struct bench *b, void *arg)
{
	const struct chat *c = arg;
	double begin;

	chat_pause();
	pause_for(b->burst * b->pace);
	begin = bench_now();
	for (unsigned i = 0; i < b->burst; i++) {
		if (deltachat_send(c->a.client, c->a.chat, "One of many.", NULL) == 0)
			return failed(b, &c->a, &c->b);
	}
	for (unsigned i = 0; i < b->burst; i++) {
		struct deltachat_message m = { 0 };

		if (deltachat_receive(c->b.client, &m) < 0)
			return failed(b, &c->b, &c->a);
		deltachat_message_deinit(&m);
	}
	return bench_now() - begin;
}

/* where: "one relay", for people; suffix: of the names. */
static bool talk(struct bench *b, struct chat *c, const char *where, const char *suffix)
{
	char name[3][40], title[3][80];

	if (!chat_meet(c, b->error))
		return false;
	snprintf(name[0], sizeof(name[0]), "round_trip%s", suffix);
	snprintf(title[0], sizeof(title[0]), "%s: message and answer", where);
	snprintf(name[1], sizeof(name[1]), "round_trip_large%s", suffix);
	snprintf(title[1], sizeof(title[1]), "%s: 1 MiB file and answer", where);
	snprintf(name[2], sizeof(name[2]), "burst%s", suffix);
	snprintf(
	    title[2], sizeof(title[2]), "%s: %u sent, all received", where, b->burst);
	return bench_repeat(b, name[0], title[0], b->rounds, small_round_trip, c) &&
	       bench_repeat(
		   b, name[1], title[1], half(b->rounds), large_round_trip, c) &&
	       bench_repeat(b, name[2], title[2], half(b->rounds), burst, c);
}

static bool talk_between(struct bench *b, struct chat_end *alice, size_t relay,
    const char *name, const char *where, const char *suffix)
{
	struct chat c = { *alice, { .name = name } };
	bool good = come_online(b, relay, &c.b) && talk(b, &c, where, suffix);

	deltachat_stop(c.b.client);
	return good;
}

bool bench_chats(struct bench *b)
{
	struct chat_end alice = { .name = "Alice" };
	bool good = come_online(b, 0, &alice) &&
		    talk_between(b, &alice, 0, "Bob", "one relay", "");

	if (good && trial_relays(b->trial) > 1)
		good = talk_between(b, &alice, 1, "Carol", "two relays", "_two");
	deltachat_stop(alice.client);
	return good;
}
