/*
 * From the 250 of a delivery to "* EXISTS" at a client that idles: by LMTP, which is what
 * Dovecot itself takes, and by a submission through the whole relay. With Dovecot alone,
 * with Dovecot's hibernation as the only help, and with our plugin. And from a delivery
 * by LMTP to its POST at the notification service.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deploy/mail.h"
#include "test/bench/bench.h"
#include "test/relay/client.h"
#include "test/relay/private.h"

#define MESSAGES        50
#define BYTES           2000
#define PUSH_TIMEOUT_NS UINT64_C(20000000000)
#define PASSWORD        "correct-horse"
#define RECEIVER        "receiver1@relay.example"
#define SENDER          "sender001@relay.example"
#define PLUGIN_FILE     "lib/modules/lib95_chatmail_idle_plugin.so"
#define OPTIONS                                                                        \
	"--ini 'max_user_send_per_minute = 100000' "                                   \
	"--ini 'max_user_send_burst_size = 100000'"

/* What Dovecot has, and how long a client idles before each message: hibernation takes
 * whole seconds. */
static const struct set_up {
	const char *name, *config;
	bool plugin;
	unsigned gap_ms;
	double goal_ms; /* of the median; 0: none */
} set_ups[] = {
	{ "Dovecot alone", "", false, 20, 0 },
	{ "hibernated", "imap_hibernate_timeout = 1s\n", false, 1300, 0 },
	{ "plugin", "", true, 20, 10 },
	{ "plugin, hibernated", "imap_hibernate_timeout = 1s\n", true, 1300, 0 },
};

static struct private_relay relay;

/* "DIR/name" of the relay, in a buffer for each caller's line. */
static const char *in_relay(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", relay.dir, name);
	return path;
}

static void append(const char *path, const char *text)
{
	FILE *file = fopen(path, "ae");

	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		bench_die("cannot write %s", path);
}

/* A relay of this kind; Dovecot starts anew when it is not the usual one. */
static void begin(const struct set_up *s)
{
	char path[256];

	private_up(&relay, OPTIONS);
	if (!s->plugin && unlink(in_relay(path, PLUGIN_FILE)) < 0)
		bench_die("no plugin in the build: it needs dovecot-dev");
	append(in_relay(path, "etc/dovecot/dovecot.conf"), s->config);
	private_part(&relay, "stop", "dovecot");
	private_part(&relay, "start", "dovecot");
}

static void wait_for(struct client *inbox, int count)
{
	char wanted[32];
	const char *line;

	snprintf(wanted, sizeof(wanted), "* %d EXISTS", count);
	while ((line = imap_told(inbox))) {
		if (strcmp(line, wanted) == 0)
			return;
	}
	bench_die("the client was not told of message %d", count);
}

/* Send MESSAGES on smtp to a client that has count already. */
static void measure(const struct set_up *s, struct client *smtp, struct client *inbox,
    int count, struct bench_samples *samples)
{
	const struct mail m = { SENDER, RECEIVER, "[...]", "bench" };
	size_t len;
	char *text = mail_encrypted(&m, BYTES, &len);

	for (int i = 1; i <= MESSAGES; i++) {
		uint64_t accepted;

		usleep(s->gap_ms * 1000);
		if (smtp_send(smtp, SENDER, RECEIVER, text, len) != 250)
			bench_die("message refused: %s", client_text(smtp));
		accepted = bench_now_ns();
		wait_for(inbox, count + i);
		bench_samples_add(samples, bench_now_ns() - accepted);
	}
	free(text);
}

/* When the service got its last POST so far, or 0 if it has none. */
static uint64_t last_push_ns(FILE *log)
{
	char line[256];
	double at = 0;

	rewind(log);
	while (fgets(line, sizeof(line), log))
		at = strtod(line, NULL);
	return (uint64_t)(at * 1e9);
}

/* Send MESSAGES on lmtp to a client with a device token, each from MAIL to the POST. */
static void measure_pushes(struct client *lmtp, struct bench_samples *samples)
{
	const struct mail m = { SENDER, RECEIVER, "[...]", "bench" };
	size_t len;
	char path[256], *text = mail_encrypted(&m, BYTES, &len);
	FILE *log = fopen(in_relay(path, "log/push.log"), "re");

	if (!log)
		bench_die("no %s", path);
	for (int i = 0; i <= MESSAGES; i++) {
		uint64_t begin = bench_now_ns(), at;

		if (smtp_send(lmtp, SENDER, RECEIVER, text, len) != 250)
			bench_die("message refused: %s", client_text(lmtp));
		while ((at = last_push_ns(log)) < begin) {
			if (bench_now_ns() - begin > PUSH_TIMEOUT_NS)
				bench_die("message %d made no POST", i);
			usleep(1000);
		}
		if (i > 0) /* the first one makes the connection */
			bench_samples_add(samples, at - begin);
		usleep(20 * 1000);
	}
	fclose(log);
	free(text);
}

static void run_pushes(void)
{
	struct bench_samples samples = { 0 };
	struct client *inbox, *lmtp;
	char path[256], measured[96];
	double median;

	private_up(&relay, OPTIONS);
	inbox = imap_open(relay.imaps, RECEIVER, PASSWORD);
	if (!inbox ||
	    !imap_command(inbox, "SETMETADATA INBOX (/private/devicetoken \"bench\")"))
		bench_die("cannot store a device token");
	client_close(inbox);
	lmtp = lmtp_open(in_relay(path, "spool/private/dovecot-lmtp"));
	if (!lmtp)
		bench_die("no LMTP");
	measure_pushes(lmtp, &samples);
	client_close(lmtp);
	private_down(&relay);
	median = bench_samples_ms(&samples, 0.5);
	snprintf(measured, sizeof(measured), "min %.1f, median %.1f, max %.1f ms",
	    bench_samples_ms(&samples, 0), median, bench_samples_ms(&samples, 1));
	bench_row("LMTP delivery begun to POST arrived", measured, "median under 20 ms",
	    median < 20);
	bench_samples_deinit(&samples);
}

static void report(
    const struct set_up *s, const char *path, struct bench_samples *samples)
{
	double median = bench_samples_ms(samples, 0.5);
	char what[64], measured[96], goal[32] = "";

	snprintf(what, sizeof(what), "%s 250 to EXISTS, %s", path, s->name);
	snprintf(measured, sizeof(measured), "min %.1f, median %.1f, max %.1f ms",
	    bench_samples_ms(samples, 0), median, bench_samples_ms(samples, 1));
	if (s->goal_ms > 0)
		snprintf(goal, sizeof(goal), "median under %.0f ms", s->goal_ms);
	bench_row(what, measured, goal, s->goal_ms > 0 ? median < s->goal_ms : -1);
	bench_samples_deinit(samples);
}

static void run(const struct set_up *s)
{
	struct bench_samples lmtp = { 0 }, submission = { 0 };
	struct client *inbox, *smtp;
	char path[256];

	begin(s);
	client_close(imap_open(relay.imaps, SENDER, PASSWORD));
	inbox = imap_open(relay.imaps, RECEIVER, PASSWORD);
	if (!inbox || !imap_idle(inbox))
		bench_die("cannot log in");
	smtp = lmtp_open(in_relay(path, "spool/private/dovecot-lmtp"));
	if (!smtp)
		bench_die("no LMTP");
	measure(s, smtp, inbox, 0, &lmtp);
	client_close(smtp);
	smtp = smtp_open(relay.submissions, CLIENT_TLS, SENDER, PASSWORD);
	if (!smtp)
		bench_die("no submission");
	measure(s, smtp, inbox, MESSAGES, &submission);
	client_close(smtp);
	client_close(inbox);
	private_down(&relay);
	report(s, "LMTP", &lmtp);
	report(s, "submission", &submission);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: bench_idle RELAY-SCRIPT BUILD-DIRECTORY\n");
		return 2;
	}
	setenv("CHATMAIL_RELAY", argv[1], 1);
	setenv("CHATMAIL_BUILD", argv[2], 1);
	if (!private_possible())
		return 1;
	run_pushes();
	for (size_t i = 0; i < sizeof(set_ups) / sizeof(set_ups[0]); i++)
		run(&set_ups[i]);
	return 0;
}
