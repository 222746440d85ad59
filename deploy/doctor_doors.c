#include "deploy/doctor_doors.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "deploy/imap_talk.h"
#include "deploy/quote.h"
#include "deploy/smtp_talk.h"

#define SAID_MAX 100 /* bytes of what a server says that are told */

static const struct {
	uint16_t port;
	enum door_protocol protocol;
} ports[DOOR_PORTS] = {
	{ 25, DOOR_SMTP },
	{ 80, DOOR_HTTP },
	{ 143, DOOR_IMAP },
	{ 443, DOOR_HTTPS },
	{ 465, DOOR_SMTPS },
	{ 587, DOOR_SMTP },
	{ 993, DOOR_IMAPS },
};

struct knock {
	pthread_t thread;
	struct door *door;
	const char *domain;
};

struct doors_knocking {
	struct knock knock[DOORS_MAX];
	size_t n;
};

void doors_init(struct doors *doors, const char *domain,
    char (*addresses)[INET6_ADDRSTRLEN], size_t naddresses)
{
	*doors = (struct doors){ .domain = domain };
	for (size_t a = 0; a < naddresses && a < DOOR_ADDRESSES; a++) {
		for (size_t p = 0; p < DOOR_PORTS; p++) {
			struct door *door = &doors->door[doors->n++];

			door->port = ports[p].port;
			door->protocol = ports[p].protocol;
			memcpy(door->address, addresses[a], INET6_ADDRSTRLEN);
		}
	}
}

/* Up to where its TLS is to be seen; false: not so far. */
static bool talk(struct dial *dial, enum door_protocol protocol)
{
	struct smtp_talk smtp = { .dial = dial };
	struct imap_talk imap = { .dial = dial };

	switch (protocol) {
	case DOOR_HTTP:
		return dial_write(dial, span_of("GET / HTTP/1.0\r\n\r\n")) &&
		       dial_ready(dial, DOOR_MS);
	case DOOR_HTTPS:
		return true;
	case DOOR_SMTP:
	case DOOR_SMTPS:
		if (smtp_talk_begin(&smtp, "doctor.invalid", protocol == DOOR_SMTP) !=
		    250)
			return dial_fail(dial, DIAL_NONSENSE, "it says %u %.*s",
			    smtp.reply.code,
			    (int)(smtp.reply.len < SAID_MAX ? smtp.reply.len
							    : SAID_MAX),
			    smtp.reply.text);
		smtp_talk_command(&smtp, "QUIT");
		return true;
	case DOOR_IMAP:
		return (imap_talk_begin(&imap) &&
			   imap_talk_command(&imap, NULL, "STARTTLS") &&
			   dial_start_tls(dial)) ||
		       dial_fail(dial, DIAL_NONSENSE, "it says %.100s", imap.result);
	case DOOR_IMAPS:
		return imap_talk_begin(&imap) ||
		       dial_fail(dial, DIAL_NONSENSE, "it says %.100s", imap.result);
	}
	return false;
}

static void *run_knock(void *arg)
{
	struct knock *k = arg;
	struct door *door = k->door;
	bool tls = door->protocol == DOOR_HTTPS || door->protocol == DOOR_SMTPS ||
		   door->protocol == DOOR_IMAPS;
	const struct dial_target target = {
		.host = door->address,
		.port = door->port,
		.tls = tls ? DIAL_FROM_START : DIAL_PLAIN,
		.name = k->domain,
		.any_certificate = true,
	};
	struct dial *dial = dial_open(&target, DOOR_MS);

	if (!dial_error(dial))
		talk(dial, door->protocol);
	if (dial_ssl(dial))
		door_read_certificate(&door->certificate, dial_ssl(dial), k->domain);
	door->failure = dial_failure(dial);
	if (dial_error(dial))
		snprintf(door->error, sizeof(door->error), "%s", dial_error(dial));
	dial_close(dial);
	return NULL;
}

struct doors_knocking *doors_knock(struct doors *doors)
{
	struct doors_knocking *k = calloc(1, sizeof(*k));

	if (!k)
		abort();
	for (size_t i = 0; i < doors->n; i++) {
		struct knock *knock = &k->knock[k->n];

		*knock =
		    (struct knock){ .door = &doors->door[i], .domain = doors->domain };
		doors->door[i].failure = DIAL_BROKEN;
		if (pthread_create(&knock->thread, NULL, run_knock, knock) == 0)
			k->n++;
	}
	return k;
}

void doors_wait(struct doors_knocking *k)
{
	for (size_t i = 0; i < k->n; i++)
		pthread_join(k->knock[i].thread, NULL);
	free(k);
}

const char *doors_address(const struct doors *doors, uint16_t port)
{
	for (size_t i = 0; i < doors->n; i++) {
		if (doors->door[i].port == port && doors->door[i].failure == DIAL_FINE)
			return doors->door[i].address;
	}
	return NULL;
}

char *doors_script(const struct doors *doors)
{
	struct text t = { 0 };

	text_add(&t, "# knock at the relay's ports\n"
		     "knock() {\n"
		     "	if timeout 8 bash -c ': </dev/tcp/$0/$1' \"$1\" \"$2\" "
		     "2>/dev/null; then\n"
		     "		echo open \"$1\" \"$2\"\n"
		     "	else\n"
		     "		echo closed \"$1\" \"$2\"\n"
		     "	fi\n"
		     "}\n");
	for (size_t i = 0; i < doors->n; i++)
		quote_command(&t, "knock %s %u &\n", doors->door[i].address,
		    (unsigned)doors->door[i].port);
	text_add(&t, "wait\n");
	return text_take(&t);
}
