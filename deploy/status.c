#include "deploy/status.h"

#include <inttypes.h>
#include <stdlib.h>

#include "deploy/answer.h"
#include "deploy/quote.h"

#define CERTIFICATE_DAYS 14 /* left, from which on it is worth a warning */
#define DISK_PERCENT     90

static const char packages[] =
    "chatmaild chatmaild-dovecot-plugin postfix dovecot-core opendkim nginx unbound "
    "acmetool";

static void add_places(struct text *t, const struct config *c)
{
	quote_command(t,
	    "if end=$(openssl x509 -in %s -noout -enddate 2>/dev/null); then\n"
	    "	echo certificate \"$(date -d \"${end#*=}\" +%%s)\"\n"
	    "fi\n"
	    "if cd %s 2>/dev/null; then\n"
	    "	echo mailboxes \"$(find . -mindepth 1 -maxdepth 1 -type d -name '*@*' "
	    "| "
	    "wc -l)\"\n"
	    "	cd /\n"
	    "fi\n"
	    "for place in / %s; do\n"
	    "	df -P -B 1 \"$place\" 2>/dev/null | awk 'NR == 2 { print \"disk\", $6, "
	    "$4, $2 }'\n"
	    "done | sort -u\n",
	    c->tls_cert_path, c->mailboxes_dir, c->mailboxes_dir);
}

char *status_script(const struct status_question *q)
{
	struct text t = { 0 };

	text_add(&t,
	    "export LC_ALL=C\n"
	    "echo system \"$(cut -d ' ' -f 1-3 /proc/loadavg)\" "
	    "\"$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)\"\n"
	    "if [ -e /etc/chatmail-nocreate ]; then\n"
	    "	echo registration closed\n"
	    "else\n"
	    "	echo registration open\n"
	    "fi\n"
	    "if [ -e /etc/chatmail-version ]; then\n"
	    "	echo version \"$(sha256sum </etc/chatmail-version | "
	    "cut -d ' ' -f 1)\" \"$(head -n 1 /etc/chatmail-version)\"\n"
	    "fi\n"
	    "if cd /var/spool/postfix 2>/dev/null; then\n"
	    "	echo queue \"$(find active incoming -type f 2>/dev/null | wc -l)\" "
	    "\"$(find deferred hold -type f 2>/dev/null | wc -l)\"\n"
	    "	cd /\n"
	    "fi\n");
	add_places(&t, q->config);
	if (q->config->echobot)
		quote_command(&t,
		    "link=$(head -c 2048 %s/echobot/invite-link.txt 2>/dev/null | "
		    "head -n 1)\n"
		    "[ -z \"$link\" ] || printf 'echobot %%s\\n' \"$link\"\n",
		    q->config->state_dir);
	text_printf(&t,
	    "dpkg-query -W -f 'package ${db:Status-Abbrev} ${Package} ${Version}\\n' "
	    "%s "
	    "2>/dev/null || :\n"
	    "command -v systemctl >/dev/null || exit 0\n",
	    packages);
	for (size_t i = 0; i < q->nunits; i++)
		quote_command(&t,
		    "echo unit %s \"$(systemctl is-active %s 2>/dev/null || :)\"\n",
		    q->unit[i], q->unit[i]);
	text_add(&t, "systemctl list-units --failed --plain --no-legend | "
		     "awk '{ print \"failed\", $1 }'\n"
		     "systemctl --type=service --state=running --no-pager | "
		     "sed -n 's/^  /running &/p'\n");
	return text_take(&t);
}

/* A server's text on an operator's terminal. */
static void put_text(struct span s, FILE *out)
{
	text_write_visible(out, s.len > 200 ? span_make(s.data, 200) : s, "");
}

static void put_label(const char *label, FILE *out)
{
	fprintf(out, "%-14s", label);
}

static void put_unknown(const char *label, FILE *out)
{
	put_label(label, out);
	fputs("unknown\n", out);
}

/* Writing: a function for each part; they return what needs a look. */

static unsigned print_registration(
    const struct status_question *q, struct span output, FILE *out)
{
	struct span value;

	if (!answer_find(output, "registration", &value)) {
		put_unknown("registration", out);
		return 0;
	}
	put_label("registration", out);
	fputs(
	    span_is(value, "closed") ? "closed by /etc/chatmail-nocreate\n" : "open\n",
	    out);
	return 0;
}

static unsigned print_version(
    const struct status_question *q, struct span output, FILE *out)
{
	struct span value, sha256;

	if (!answer_find(output, "version", &value)) {
		put_label("version", out);
		fputs("none: never deployed\n", out);
		return 0;
	}
	sha256 = answer_word(&value);
	put_label("version", out);
	put_text(span_trim(value.data ? value : span_of("")), out);
	if (q->version_sha256)
		fputs(span_is(sha256, q->version_sha256)
			  ? ", as it is here"
			  : ", not what is here: there are undeployed changes",
		    out);
	fputc('\n', out);
	return 0;
}

static unsigned print_certificate(
    const struct status_question *q, struct span output, time_t now, FILE *out)
{
	struct span value;
	int64_t end =
	    answer_find(output, "certificate", &value) ? answer_number(value) : -1;
	time_t t = (time_t)end;
	int64_t days;
	char text[64];
	struct tm tm;

	put_label("certificate", out);
	if (end < 0 || !gmtime_r(&t, &tm)) {
		fprintf(out, "none at %s\n", q->config->tls_cert_path);
		return 1;
	}
	days = (end - (int64_t)now) / 86400;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	if (end < (int64_t)now)
		fprintf(out, "ended %s\n", text);
	else
		fprintf(out, "until %s, %" PRId64 " days\n", text, days);
	return end < (int64_t)now || days < CERTIFICATE_DAYS;
}

static unsigned print_numbers(
    const struct status_question *q, struct span output, FILE *out)
{
	int64_t queued, deferred, mailboxes, memory;
	struct span value;

	if (answer_find(output, "mailboxes", &value) &&
	    (mailboxes = answer_number(value)) >= 0)
		fprintf(out, "%-14s%" PRId64 "\n", "mailboxes", mailboxes);
	else
		put_unknown("mailboxes", out);
	if (answer_find(output, "queue", &value) &&
	    (queued = answer_number(answer_word(&value))) >= 0 &&
	    (deferred = answer_number(answer_word(&value))) >= 0)
		fprintf(out, "%-14s%" PRId64 " active, %" PRId64 " deferred\n", "queue",
		    queued, deferred);
	else
		put_unknown("queue", out);
	if (!answer_find(output, "system", &value))
		return 0;
	put_label("load", out);
	for (int i = 0; i < 3; i++) {
		put_text(answer_word(&value), out);
		putc(i < 2 ? ' ' : '\n', out);
	}
	memory = answer_number(answer_word(&value)); /* KiB */
	if (memory >= 0)
		fprintf(
		    out, "%-14s%" PRId64 " MiB available\n", "memory", memory / 1024);
	return 0;
}

static unsigned print_disks(
    const struct status_question *q, struct span output, FILE *out)
{
	struct answer_reader r = { output, "disk" };
	unsigned full = 0;
	struct span value;

	while (answer_next(&r, &value)) {
		struct span place = answer_word(&value);
		int64_t free = answer_number(answer_word(&value));
		int64_t size = answer_number(answer_word(&value));
		double used;

		if (free < 0 || size <= 0 || free > size)
			continue;
		used = 100.0 - 100.0 * (double)free / (double)size;
		put_label("disk", out);
		put_text(place, out);
		fprintf(out, ": %.1f of %.1f GiB free, %.0f %% used\n",
		    (double)free / (1 << 30), (double)size / (1 << 30), used);
		full += used >= DISK_PERCENT;
	}
	return full;
}

static unsigned print_echobot(
    const struct status_question *q, struct span output, FILE *out)
{
	struct span link;

	if (!answer_find(output, "echobot", &link) || link.len == 0)
		return 0;
	put_label("echo bot", out);
	put_text(link, out);
	putc('\n', out);
	return 0;
}

static unsigned print_packages(
    const struct status_question *q, struct span output, FILE *out)
{
	struct answer_reader r = { output, "package" };
	struct span value;
	size_t n = 0;

	fputs("\nPackages\n", out);
	while (answer_next(&r, &value)) {
		struct span name;

		if (!span_is(answer_word(&value), "ii"))
			continue; /* known to dpkg, but not installed */
		name = answer_word(&value);
		fputs("  ", out);
		put_text(name, out);
		putc(' ', out);
		put_text(answer_word(&value), out);
		putc('\n', out);
		n++;
	}
	if (n == 0)
		fputs("  none\n", out);
	return 0;
}

static unsigned print_units(
    const struct status_question *q, struct span output, FILE *out)
{
	struct answer_reader r = { output, "unit" };
	unsigned down = 0;
	struct span value;

	if (q->nunits == 0)
		return 0;
	fputs("\nUnits of the relay\n", out);
	while (answer_next(&r, &value)) {
		struct span name = answer_word(&value), state = answer_word(&value);

		fputs("  ", out);
		put_text(name, out);
		putc(' ', out);
		put_text(state.len ? state : span_of("unknown"), out);
		putc('\n', out);
		down += !span_is(state, "active");
	}
	return down;
}

static unsigned print_list(
    const char *key, const char *title, struct span output, FILE *out)
{
	struct answer_reader r = { output, key };
	struct span value;
	unsigned n = 0;

	fprintf(out, "\n%s\n", title);
	for (; answer_next(&r, &value); n++) {
		if (!span_starts(value, "  "))
			fputs("  ", out);
		put_text(value, out);
		putc('\n', out);
	}
	if (n == 0)
		fputs("  none\n", out);
	return n;
}

unsigned status_print(
    const struct status_question *q, struct span output, time_t now, FILE *out)
{
	unsigned look = 0;

	look += print_registration(q, output, out);
	look += print_version(q, output, out);
	look += print_certificate(q, output, now, out);
	look += print_numbers(q, output, out);
	look += print_disks(q, output, out);
	look += print_echobot(q, output, out);
	look += print_packages(q, output, out);
	look += print_units(q, output, out);
	look += print_list("failed", "Failed units", output, out);
	print_list("running", "Running services", output, out);
	return look;
}
