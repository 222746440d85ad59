/* Groups in the order they come; searched one by one, as there are few. */
#include "chatmaild/ctl_mailq.h"

#include <stdlib.h>
#include <string.h>

#include "chatmaild/ctl.h"

#define OTHERS "others" /* the destination of what no group was left for */

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
static struct mailq_group *find_group(const struct mailq *q, const char *destination,
    const char *reason, const char *meaning)
{
	for (size_t i = 0; i < q->n; i++) {
		struct mailq_group *g = &q->group[i];

		if (strcasecmp(g->destination, destination) == 0 &&
		    g->meaning == meaning &&
		    (meaning || strcmp(g->reason, reason) == 0))
			return g;
	}
	return NULL;
}

static struct mailq_group *get_group(
    struct mailq *q, const char *destination, const char *reason)
{
	const char *meaning = find_meaning(reason);
	struct mailq_group *g = find_group(q, destination, reason, meaning);

	if (!g && q->n >= MAILQ_GROUPS_MAX - 1) { /* the last one is for all others */
		destination = OTHERS;
		reason = "";
		meaning = NULL;
		g = find_group(q, destination, reason, meaning);
	}
	if (g)
		return g;
	if (q->n == q->room) {
		q->room = q->room ? 2 * q->room : 64;
		q->group = realloc(q->group, q->room * sizeof(*q->group));
		if (!q->group)
			abort();
	}
	g = &q->group[q->n++];
	*g = (struct mailq_group){ .destination = copy(destination),
		.reason = copy(reason),
		.meaning = meaning };
	return g;
}

static void take_recipient(
    struct mailq *q, const json_t *recipient, int64_t arrived, int64_t size)
{
	const char *address = ctl_text(recipient, "address");
	const char *at = strrchr(address, '@');
	struct mailq_group *g =
	    get_group(q, at ? at + 1 : address, ctl_text(recipient, "delay_reason"));

	g->recipients++;
	g->bytes += (uint64_t)size;
	if (g->oldest == 0 || arrived < g->oldest)
		g->oldest = arrived;
}

static void take_message(struct mailq *q, const json_t *message)
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
	const struct mailq_group *x = a, *y = b;

	if (x->recipients != y->recipients)
		return x->recipients > y->recipients ? -1 : 1;
	return strcmp(x->destination, y->destination);
}

void mailq_take(struct mailq *q, const char *line, size_t len)
{
	json_t *message = json_loadb(line, len, 0, NULL);

	if (json_is_object(message))
		take_message(q, message);
	json_decref(message);
}

void mailq_sort(struct mailq *q)
{
	if (q->n > 0)
		qsort(q->group, q->n, sizeof(*q->group), by_recipients);
}

void mailq_deinit(struct mailq *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->group[i].destination);
		free(q->group[i].reason);
	}
	free(q->group);
	*q = (struct mailq){ 0 };
}
