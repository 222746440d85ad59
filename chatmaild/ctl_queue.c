/*
 * chatmailctl queue: what Postfix holds, by destination and reason. Reads the JSON lines of
 * postqueue(1), so it needs no daemon.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "chatmaild/ctl.h"

#define GROUPS_MAX 4096 /* destinations and reasons told apart; more are lumped */

/* What Postfix's reasons mean, the first that fits; searched without regard to case. */
static const struct meaning {
	const char *text, *sentence;
} meanings[] = {
	{ "dovecot-lmtp",
	    "Dovecot does not take it; look at systemctl status dovecot." },
	{ "/chatmaild/",
	    "chatmaild was not there; look at systemctl status chatmaild." },
	{ "queue file write error",
	    "chatmaild was not there; look at systemctl status chatmaild." },
	{ "mailbox is full", "The mailbox there is full." },
	{ "quota", "The mailbox there is full." },
	{ "name service error", "Its name is not found in the DNS: it is mistyped, or "
				"our resolver is ill." },
	{ "host not found", "Its name is not found in the DNS: it is mistyped, or our "
			    "resolver is ill." },
	{ "network is unreachable",
	    "There is no way to it from here; without IPv6 set disable_ipv6 = true." },
	{ "timed out", "Its server does not answer; if that holds for all, our hoster "
		       "blocks port 25." },
	{ "connection refused", "Its server runs, but takes no mail." },
	{ "certificate", "Its server shows no certificate that can be trusted." },
	{ "tls is required", "Its server offers no encryption." },
	{ "cannot start tls", "No encrypted connection to its server came about." },
	{ "greylist", "It puts off mail of those it does not know; that passes." },
	{ "too many", "It limits how much it takes from us; that passes." },
	{ "rate limit", "It limits how much it takes from us; that passes." },
	{ "lost connection", "Its server hung up in the middle." },
	{ "try again", "It asks us to come back later." },
};

struct group {
	char *destination, *reason;
	const char *meaning; /* NULL: only the reason tells */
	uint64_t recipients, bytes;
	int64_t oldest;
};

struct queue {
	struct group *group;
	size_t n, room;
	uint64_t messages, bytes;
	int64_t oldest;
};

static const char *find_meaning(const char *reason)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcasestr(reason, meanings[i].text))
			return meanings[i].sentence;
	return NULL;
}

static char *copy(const char *text)
{
	char *c = strdup(text);

	if (!c)
		abort();
	return c;
}

/* Reasons of one meaning belong together, however they are worded. */
static struct group *find_group(
    struct queue *q, const char *destination, const char *reason)
{
	const char *meaning = find_meaning(reason);
	struct group *g;

	for (size_t i = 0; i < q->n; i++) {
		g = &q->group[i];
		if (strcasecmp(g->destination, destination) == 0 &&
		    g->meaning == meaning &&
		    (meaning || strcmp(g->reason, reason) == 0))
			return g;
	}
	if (q->n >= GROUPS_MAX)
		return find_group(q, "others", "");
	if (q->n == q->room) {
		q->room = q->room ? 2 * q->room : 64;
		q->group = realloc(q->group, (q->room + 1) * sizeof(*q->group));
		if (!q->group)
			abort();
	}
	g = &q->group[q->n++];
	*g = (struct group){ .destination = copy(destination),
		.reason = copy(reason),
		.meaning = meaning };
	return g;
}

static void take_recipient(
    struct queue *q, const json_t *recipient, int64_t arrived, int64_t size)
{
	const char *address = ctl_text(recipient, "address");
	const char *at = strrchr(address, '@');
	struct group *g =
	    find_group(q, at ? at + 1 : address, ctl_text(recipient, "delay_reason"));

	g->recipients++;
	g->bytes += (uint64_t)size;
	if (g->oldest == 0 || arrived < g->oldest)
		g->oldest = arrived;
}

static void take_message(struct queue *q, const json_t *message)
{
	int64_t arrived = ctl_number(message, "arrival_time"),
		size = ctl_number(message, "message_size");
	const json_t *recipients = json_object_get(message, "recipients");

	q->messages++;
	q->bytes += (uint64_t)size;
	if (q->oldest == 0 || arrived < q->oldest)
		q->oldest = arrived;
	for (size_t i = 0; i < json_array_size(recipients); i++)
		take_recipient(q, json_array_get(recipients, i), arrived, size);
}

static int by_recipients(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->recipients != y->recipients)
		return x->recipients > y->recipients ? -1 : 1;
	return strcmp(x->destination, y->destination);
}

static void put_group(const struct group *g, bool json, int64_t now)
{
	char age[CTL_WORDS_MAX];
	json_t *line;

	if (json) {
		line = json_pack("{s:s, s:I, s:I, s:I, s:s, s:s?}", "destination",
		    g->destination, "recipients", (json_int_t)g->recipients, "bytes",
		    (json_int_t)g->bytes, "oldest", (json_int_t)g->oldest, "reason",
		    g->reason, "meaning", g->meaning);
		ctl_put_json(line);
		json_decref(line);
		return;
	}
	printf("%llu for ", (unsigned long long)g->recipients);
	ctl_put(stdout, g->destination);
	printf(", waiting up to %s. ", ctl_span(age, now - g->oldest));
	if (g->meaning)
		printf("%s", g->meaning);
	else if (*g->reason)
		ctl_put(stdout, g->reason);
	else
		printf("On its way now.");
	putchar('\n');
}

static void put_queue(struct queue *q, bool json)
{
	char size[CTL_WORDS_MAX], age[CTL_WORDS_MAX];
	int64_t now = time(NULL);

	if (q->n > 0)
		qsort(q->group, q->n, sizeof(*q->group), by_recipients);
	for (size_t i = 0; i < q->n; i++)
		put_group(&q->group[i], json, now);
	if (json)
		return;
	if (q->messages == 0)
		printf("The queue is empty.\n");
	else
		printf("%llu messages, %s, the oldest waits for %s\n",
		    (unsigned long long)q->messages, ctl_size(size, q->bytes),
		    ctl_span(age, now - q->oldest));
}

static void free_queue(struct queue *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->group[i].destination);
		free(q->group[i].reason);
	}
	free(q->group);
}

enum ctl_exit ctl_queue(struct ctl *c)
{
	FILE *in = popen("postqueue -j", "re");
	struct queue q = { 0 };
	char *line = NULL;
	size_t size = 0;
	int status;

	if (!in) {
		ctl_error("postqueue cannot be started");
		return CTL_FAILED;
	}
	while (getline(&line, &size, in) > 0) {
		json_t *message = json_loads(line, 0, NULL);

		if (message)
			take_message(&q, message);
		json_decref(message);
	}
	free(line);
	status = pclose(in);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		put_queue(&q, c->json);
	else
		ctl_error("postqueue failed; Postfix is not here, or does not run: "
			  "systemctl start postfix");
	free_queue(&q);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CTL_OK : CTL_FAILED;
}
