/* What the server says of itself: room, limits, ways out, what waits. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "deploy/answer.h"
#include "deploy/doctor_server.h"

#define KEY_SIZE 256

#define DISK_TROUBLE   (64 << 20) /* bytes free: below it mail is refused soon */
#define DISK_WARN_PART 10         /* a tenth free is worth a warning */
#define MEMORY_TROUBLE (32 << 10) /* KiB available */
#define MEMORY_WARN    (100 << 10)

/* One instance for each process that watches, one watch for each mailbox that idles. */
#define INOTIFY_INSTANCES 128
#define INOTIFY_WATCHES   8192
#define NOFILE_MIN        1024 /* systemd's own default, which no relay's unit has */

#define QUEUE_WARN_SECONDS    3600
#define QUEUE_TROUBLE_SECONDS (6 * 3600)
#define QUEUE_SHOWN           12 /* destinations */

#define CLOCK_WARN_US    5000000
#define CLOCK_TROUBLE_US 60000000

static void judge_disk(
    struct doctor *d, const char *key, int64_t free, int64_t size, bool system)
{
	if (free < DISK_TROUBLE && !system)
		doctor_note(d, DOCTOR_TROUBLE, key,
		    "make room, see journalctl -u chatmaild and du -xh for what takes "
		    "it",
		    "only %" PRId64 " MiB are free, so mail is refused", free >> 20);
	else if (free < size / DISK_WARN_PART)
		doctor_note(d, DOCTOR_WARNING, key,
		    "make room, or lower delete_mails_after in chatmail.ini",
		    "%" PRId64 " MiB are free, less than a tenth", free >> 20);
	else
		doctor_note(d, DOCTOR_SOUND, key, NULL,
		    "%" PRId64 " of %" PRId64 " MiB are free", free >> 20, size >> 20);
}

static void judge_disks(struct doctor *d, struct span output)
{
	struct answer_reader r = { output, "disk" };
	struct span value;

	while (answer_next(&r, &value)) {
		struct span place = answer_word(&value);
		int64_t free = answer_number(answer_word(&value));
		int64_t size = answer_number(answer_word(&value));
		int64_t inodes = answer_number(answer_word(&value));
		int64_t all = answer_number(answer_word(&value));
		char key[KEY_SIZE];

		if (free < 0 || size <= 0)
			continue;
		snprintf(key, sizeof(key), "disk %.*s", SPAN_ARG(place));
		judge_disk(d, key, free, size,
		    size < 4 * (int64_t)DISK_TROUBLE && span_is(place, "/run"));
		if (inodes < 0 || all <= 0 || inodes >= all / 20)
			continue;
		snprintf(key, sizeof(key), "inodes %.*s", SPAN_ARG(place));
		doctor_note(d, inodes < 1000 ? DOCTOR_TROUBLE : DOCTOR_WARNING, key,
		    "lower delete_mails_after or move the mailboxes to a file system "
		    "with more inodes",
		    "only %" PRId64 " inodes of %" PRId64 " are free", inodes, all);
	}
}

static void judge_memory(struct doctor *d, struct span output)
{
	struct span value;
	int64_t available, total;

	if (!answer_find(output, "memory", &value))
		return;
	available = answer_number(answer_word(&value));
	total = answer_number(answer_word(&value));
	if (available < 0 || total < 0)
		return;
	if (available < MEMORY_WARN)
		doctor_note(d,
		    available < MEMORY_TROUBLE ? DOCTOR_TROUBLE : DOCTOR_WARNING,
		    "memory",
		    "lower max_imap_connections or get a larger machine; systemd-cgtop "
		    "shows who takes it",
		    "only %" PRId64 " of %" PRId64 " MiB are available",
		    available / 1024, total / 1024);
	else
		doctor_note(d, DOCTOR_SOUND, "memory", NULL,
		    "%" PRId64 " of %" PRId64 " MiB are available", available / 1024,
		    total / 1024);
}

static void judge_inotify(struct doctor *d, struct span output)
{
	struct answer_reader r = { output, "inotify" };
	struct span value;

	while (answer_next(&r, &value)) {
		struct span name = answer_word(&value);
		int64_t n = answer_number(answer_word(&value));
		int64_t least = span_is(name, "max_user_watches") ? INOTIFY_WATCHES
								  : INOTIFY_INSTANCES;
		char key[KEY_SIZE], remedy[KEY_SIZE];

		if (n < 0)
			continue;
		snprintf(key, sizeof(key), "limit inotify %.*s", SPAN_ARG(name));
		snprintf(remedy, sizeof(remedy),
		    "raise it by sysctl -w fs.inotify.%.*s=65535, and below "
		    "/etc/sysctl.d",
		    SPAN_ARG(name));
		if (n < least)
			doctor_note(d, DOCTOR_WARNING, key, remedy,
			    "%" PRId64 " is so low that clients wait for mail in vain",
			    n);
		else
			doctor_note(d, DOCTOR_SOUND, key, NULL, "%" PRId64, n);
	}
}

static void judge_nofile(struct doctor *d, struct span output)
{
	struct answer_reader r = { output, "nofile" };
	struct span value;

	while (answer_next(&r, &value)) {
		struct span unit = answer_word(&value);
		struct span said = answer_word(&value);
		int64_t n = answer_number(said);
		char key[KEY_SIZE], remedy[KEY_SIZE];

		if (n < 0 || n >= NOFILE_MIN)
			continue;
		snprintf(key, sizeof(key), "limit nofile %.*s", SPAN_ARG(unit));
		snprintf(remedy, sizeof(remedy),
		    "set LimitNOFILE= by systemctl edit %.*s, then restart it",
		    SPAN_ARG(unit));
		doctor_note(d, DOCTOR_WARNING, key, remedy,
		    "%.*s may open %" PRId64 " files only", SPAN_ARG(unit), n);
	}
}

/* Those of two ports, which share a limit. */
static int64_t connections(struct span output, const char *one, const char *other)
{
	struct answer_reader r = { output, "connections" };
	struct span value;
	int64_t sum = 0;

	while (answer_next(&r, &value)) {
		struct span port = answer_word(&value);
		int64_t n = answer_number(answer_word(&value));

		if (n > 0 && (span_is(port, one) || span_is(port, other)))
			sum += n;
	}
	return sum;
}

static void judge_connections(
    struct doctor *d, const char *key, const char *option, int64_t now, int64_t most)
{
	char remedy[KEY_SIZE];

	snprintf(remedy, sizeof(remedy),
	    "raise %s in chatmail.ini, if the memory allows, then cmdeploy run",
	    option);
	if (now >= most - most / 10)
		doctor_note(d, now >= most ? DOCTOR_TROUBLE : DOCTOR_WARNING, key,
		    remedy, "%" PRId64 " of at most %" PRId64 " are open", now, most);
	else
		doctor_note(d, DOCTOR_SOUND, key, NULL,
		    "%" PRId64 " of at most %" PRId64 " are open", now, most);
}

static void judge_certificate(
    struct doctor *d, const struct config *c, struct span output)
{
	struct span value, word, key;

	if (!answer_find(output, "certificate", &value))
		return;
	word = answer_word(&value);
	if (!span_is(word, "found")) {
		doctor_note(d, DOCTOR_TROUBLE, "tls file",
		    c->tls_mode == TLS_EXTERNAL ? "have whoever keeps the certificate "
						  "put it there, then cmdeploy "
						  "run"
						: "cmdeploy run makes a new one",
		    "%.*s %s", SPAN_ARG(value),
		    span_is(word, "none") ? "is not there, or empty"
					  : "holds nothing that OpenSSL can read");
		return;
	}
	answer_word(&value); /* its fingerprint: what is served is compared with it */
	word = answer_word(&value);
	key = answer_word(&value);
	if (!span_equal(word, key))
		doctor_note(d, DOCTOR_TROUBLE, "tls key",
		    c->tls_mode == TLS_EXTERNAL ? "have whoever keeps the certificate "
						  "put the right key beside it"
						: "cmdeploy run",
		    "the key %s is not that of the certificate %s", c->tls_key_path,
		    c->tls_cert_path);
	else
		doctor_note(d, DOCTOR_SOUND, "tls key", NULL,
		    "certificate and key on the disk belong together");
}

/* What a way out said, or that it said nothing. */
static struct span words(struct span said)
{
	return said.len > 0 ? said : span_of("no answer in time");
}

static void judge_resolver(struct doctor *d, struct span output)
{
	struct span value;

	if (!answer_find(output, "resolver", &value))
		return;
	if (span_is(value, "ok"))
		doctor_note(
		    d, DOCTOR_SOUND, "resolver", NULL, "names are found on the server");
	else
		doctor_note(d, DOCTOR_TROUBLE, "resolver",
		    "see journalctl -u unbound, and whether port 53 to the outside is "
		    "open",
		    "the server finds no names (%.*s), so no mail leaves it",
		    SPAN_ARG(words(value)));
}

static void judge_push(struct doctor *d, const struct config *c, struct span output)
{
	struct span value;

	if (!answer_find(output, "push", &value))
		return;
	if (span_is(value, "ok"))
		doctor_note(
		    d, DOCTOR_SOUND, "push", NULL, "%s is reached", c->push_url);
	else
		doctor_note(d, DOCTOR_WARNING, "push",
		    "open port 443 to the outside, or put push_url and push_ca_file "
		    "right",
		    "%s is not reached (%.*s), so phones do not ring", c->push_url,
		    SPAN_ARG(words(value)));
}

/* One that answers is enough: the others may be down. */
static void judge_out(struct doctor *d, struct span output)
{
	struct answer_reader r = { output, "out" };
	struct span value, last = span_of("");
	bool any = false;

	while (answer_next(&r, &value)) {
		struct span host;

		any = true;
		last = value;
		host = answer_word(&value);
		if (span_is(value, "ok")) {
			doctor_note(d, DOCTOR_SOUND, "out 25", NULL,
			    "port 25 of %.*s is reached", SPAN_ARG(host));
			return;
		}
	}
	if (any)
		doctor_note(d, DOCTOR_TROUBLE, "out 25",
		    "ask the hoster to open outgoing port 25, or name a host that "
		    "answers "
		    "by --mail-host",
		    "no mail server is reached from here (%.*s), so mail to others "
		    "waits",
		    SPAN_ARG(span_trim(last)));
}

static void judge_queue_line(struct doctor *d, struct span line, time_t now)
{
	json_t *group = json_loadb(line.data, line.len, 0, NULL);
	const char *destination =
	    json_string_value(json_object_get(group, "destination"));
	const char *reason = json_string_value(json_object_get(group, "reason"));
	const char *meaning = json_string_value(json_object_get(group, "meaning"));
	int64_t n = json_integer_value(json_object_get(group, "recipients"));
	int64_t oldest = json_integer_value(json_object_get(group, "oldest"));
	int64_t age = (int64_t)now - oldest;
	char key[KEY_SIZE];

	if (destination && reason && *reason && oldest > 0 &&
	    age >= QUEUE_WARN_SECONDS) {
		snprintf(key, sizeof(key), "queue %s", destination);
		doctor_note(d, DOCTOR_WARNING, key,
		    "cmdeploy queue and cmdeploy logs postfix tell more",
		    "%" PRId64 " wait up to %" PRId64 " hours: %.200s%s%.200s%s", n,
		    age / 3600, reason, meaning ? " (" : "", meaning ? meaning : "",
		    meaning ? ")" : "");
	}
	json_decref(group);
}

static void judge_queue(struct doctor *d, struct span output, time_t now)
{
	struct answer_reader r = { output, "queue" };
	struct span value;

	for (unsigned n = 0; n < QUEUE_SHOWN && answer_next(&r, &value); n++)
		judge_queue_line(d, value, now);
	doctor_note(d, DOCTOR_SOUND, "queue", NULL, "looked through");
}

static void judge_failed(struct doctor *d, const struct facts *f, struct span output)
{
	struct answer_reader r = { output, "failed" };
	struct span value;

	while (answer_next(&r, &value)) {
		char key[KEY_SIZE], remedy[KEY_SIZE];
		char *name = span_dup(value);

		if (!name)
			abort();
		snprintf(key, sizeof(key), "failed %s", name);
		snprintf(remedy, sizeof(remedy),
		    "see journalctl -u %s, then systemctl reset-failed %s", name, name);
		if (!f || !facts_unit(f, name)) /* else it is named as ours */
			doctor_note(d, DOCTOR_WARNING, key, remedy,
			    "this unit, which is none of the relay's, has failed");
		free(name);
	}
}

static void judge_registration(
    struct doctor *d, const struct config *c, struct span output)
{
	struct span value;

	if (answer_find(output, "registration", &value))
		doctor_note(d, DOCTOR_WARNING, "registration",
		    "cmdeploy registration open, if that is not meant",
		    "nobody can make an account, for /etc/chatmail-nocreate is there");
	else
		doctor_note(d, DOCTOR_SOUND, "registration", NULL, "%s",
		    c->invites ? "by invitation" : "open");
}

void doctor_judge_health(struct doctor *d, const struct doctor_question *q,
    const struct facts *f, struct span output)
{
	const struct config *c = q->config;

	judge_disks(d, output);
	judge_memory(d, output);
	judge_inotify(d, output);
	judge_nofile(d, output);
	judge_connections(d, "limit imap connections", "max_imap_connections",
	    connections(output, "993", "143"), c->max_imap_connections);
	judge_connections(d, "limit smtp connections", "max_smtp_connections",
	    connections(output, "465", "587"), c->max_smtp_connections);
	judge_certificate(d, c, output);
	judge_resolver(d, output);
	judge_push(d, c, output);
	judge_out(d, output);
	judge_queue(d, output, time(NULL));
	judge_failed(d, f, output);
	judge_registration(d, c, output);
}

void doctor_judge_clock(struct doctor *d, int64_t before, int64_t server, int64_t after)
{
	/* The server looked at its clock at some time between. */
	int64_t ahead = server - after, behind = before - server;
	int64_t off = ahead > 0 ? ahead : behind > 0 ? behind : 0;

	if (off < CLOCK_WARN_US)
		doctor_note(d, DOCTOR_SOUND, "clock", NULL,
		    "right, as far as this machine's clock is");
	else
		doctor_note(d, off < CLOCK_TROUBLE_US ? DOCTOR_WARNING : DOCTOR_TROUBLE,
		    "clock",
		    "have both synchronized, for example by systemd-timesyncd; "
		    "signatures "
		    "and certificates depend on it",
		    "the server's clock is %" PRId64 " seconds %s this machine's",
		    off / 1000000, ahead > 0 ? "ahead of" : "behind");
}
