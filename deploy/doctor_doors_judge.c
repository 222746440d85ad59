/* What closed doors mean. */
#include <stdlib.h>
#include <sys/socket.h>

#include "deploy/answer.h"
#include "deploy/doctor_doors.h"

#define KEY_SIZE 128

struct judging_doors {
	struct doctor *doctor;
	const struct doors *doors;
	const struct facts *facts;
	const struct doors_elsewhere *elsewhere;
	int out_25_works;
};

enum view { VIEW_UNKNOWN, VIEW_OPEN, VIEW_CLOSED };

/* What the other host saw of it. */
static enum view view_elsewhere(
    const struct doors_elsewhere *e, const struct door *door)
{
	static const struct {
		const char *word;
		enum view view;
	} words[] = { { "open", VIEW_OPEN }, { "closed", VIEW_CLOSED } };

	for (size_t i = 0; e && e->host && i < 2; i++) {
		struct answer_reader r = { e->said, words[i].word };
		struct span value;

		while (answer_next(&r, &value)) {
			if (span_is(answer_word(&value), door->address) &&
			    answer_number(answer_word(&value)) == door->port)
				return words[i].view;
		}
	}
	return VIEW_UNKNOWN;
}

static bool is_listening(const struct facts *f, uint16_t port)
{
	for (size_t i = 0; f && i < f->nports; i++) {
		if (f->ports[i].port == port &&
		    strcmp(f->ports[i].protocol, "tcp") == 0)
			return true;
	}
	return false;
}

static const char *failure_text(const struct door *door)
{
	switch (door->failure) {
	case DIAL_REFUSED:
		return "refuses connections";
	case DIAL_SILENT:
		return "does not answer";
	case DIAL_CLOSED:
		return "hangs up at once";
	default:
		return "does not answer as it should";
	}
}

/* The server says that it listens; so something in between does not let us pass. */
static void judge_filtered(
    const struct judging_doors *j, const struct door *door, const char *key)
{
	if (door->port == 25 && j->out_25_works == 0)
		doctor_note(j->doctor, DOCTOR_UNTRIED, key,
		    "name a host elsewhere by --from",
		    "this machine's network reaches no port 25 at all");
	else
		doctor_note(j->doctor, DOCTOR_TROUBLE, key,
		    "open it in nft list ruleset, and in the hoster's firewall",
		    "the server listens, but a packet filter on it or before it stops "
		    "what comes from here: it %s",
		    failure_text(door));
}

static void judge_closed(
    const struct judging_doors *j, const struct door *door, const char *key)
{
	bool listening = is_listening(j->facts, door->port);
	enum view elsewhere = view_elsewhere(j->elsewhere, door);
	bool filtered = door->failure == DIAL_SILENT || door->failure == DIAL_REFUSED ||
			door->failure == DIAL_NO_ROUTE;

	if (elsewhere == VIEW_OPEN)
		doctor_note(j->doctor, DOCTOR_UNTRIED, key, NULL,
		    "open to %s; only this machine's network stops it",
		    j->elsewhere->host);
	else if (door->failure == DIAL_NO_ROUTE && strchr(door->address, ':'))
		doctor_note(j->doctor, DOCTOR_UNTRIED, key,
		    "name a host with IPv6 by --from", "this machine has no IPv6");
	else if (door->failure == DIAL_BROKEN)
		doctor_note(j->doctor, DOCTOR_UNTRIED, key, NULL,
		    "could not be tried: %s", door->error);
	else if (listening && filtered)
		judge_filtered(j, door, key);
	else if (filtered)
		doctor_note(j->doctor, DOCTOR_TROUBLE, key,
		    "start what should listen there, and open it in the firewalls",
		    "it %s", failure_text(door));
	else
		doctor_note(j->doctor, DOCTOR_TROUBLE, key,
		    "see the journal of the service, and whether another one took the "
		    "port",
		    "it answers, but not as it should: %s", door->error);
}

void doors_judge(struct doctor *d, const struct doors *doors, const struct facts *f,
    const struct doors_elsewhere *elsewhere, int out_25_works)
{
	const struct judging_doors j = {
		.doctor = d,
		.doors = doors,
		.facts = f,
		.elsewhere = elsewhere,
		.out_25_works = out_25_works,
	};

	for (size_t i = 0; i < doors->n; i++) {
		const struct door *door = &doors->door[i];
		char key[KEY_SIZE];

		snprintf(key, sizeof(key), "port %u %s", door->port, door->address);
		if (door->failure != DIAL_FINE)
			judge_closed(&j, door, key);
		else if (view_elsewhere(elsewhere, door) == VIEW_CLOSED)
			doctor_note(d, DOCTOR_WARNING, key,
			    "open it to all in the firewalls",
			    "open to this machine, but not to %s", elsewhere->host);
		else
			doctor_note(d, DOCTOR_SOUND, key, NULL, "answers");
	}
}
