/*
 * cmdeploy migrate: a relay from one server to another. Without --switch only mailboxes are
 * copied, while the old server works, as often as one likes. With it the old server's mail is
 * stopped, what is left is copied, and the new one's mail is started.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "deploy/backup.h"
#include "deploy/command.h"
#include "deploy/forward.h"
#include "deploy/quote.h"
#include "deploy/sync.h"

#define ERROR_MAX                                                                      \
	(SYNC_ERROR_MAX > FORWARD_ERROR_MAX ? SYNC_ERROR_MAX : FORWARD_ERROR_MAX)

struct migration {
	struct command_common common;
	const char *old_name, *new_name;
	const char *address; /* of the new one, to forward to */
	bool is_switch, is_forward;
	const struct config *config;
	struct host *old_host, *new_host;
	struct progress *progress;
	uint64_t sent;           /* bytes */
	struct timespec stopped; /* when mail on the old server was; 0: it runs */
	double away;             /* seconds without mail */
};

static const char old_ready[] =
    "refuse() {\n"
    "	echo \"$1\" >&2\n"
    "	exit 1\n"
    "}\n"
    "[ -n \"$(find \"$mailboxes\" -mindepth 2 -maxdepth 2 -name password -print "
    "-quit)\" "
    "] ||\n"
    "	refuse \"there are no accounts in $mailboxes: is this the old server?\"\n"
    /* Found out before its mail is stopped. */
    "chatmaild --help | grep -q -e --copy-database ||\n"
    "	refuse 'its chatmaild is too old for this: bring it up to date by cmdeploy "
    "run'\n";

/*
 * What the old server does not have is deleted on the new one: so that must be either empty, but
 * for the echo bot's account, which the daemon makes by itself, or one that this command has
 * filled.
 */
static const char new_ready[] =
    "refuse() {\n"
    "	echo \"$1\" >&2\n"
    "	exit 1\n"
    "}\n"
    "[ -d \"$mailboxes\" ] && command -v chatmaild >/dev/null && command -v postfix "
    ">/dev/null ||\n"
    "	refuse 'prepare it first by: cmdeploy run --disable-mail --ssh-host'\n"
    "for unit in dovecot.service postfix@-.service; do\n"
    "	! systemctl is-active -q \"$unit\" ||\n"
    "		refuse \"$unit runs there: is this the new server?\"\n"
    "done\n"
    "if [ ! -e \"$state/migrating\" ]; then\n"
    "	[ -z \"$(find \"$mailboxes\" -mindepth 1 -maxdepth 1 ! -name 'echo@*' -print "
    "-quit)\" ] ||\n"
    "		refuse \"there are accounts of its own in $mailboxes\"\n"
    "	: >\"$state/migrating\"\n"
    "fi\n";

/* To enable and disable units takes seconds: not while mail is away. */
static const char stop_old[] =
    "systemctl stop postfix.service postfix@-.service dovecot.service \\\n"
    "	chatmail-echobot.socket 'chatmail-echobot@*.service'\n"
    "systemctl stop chatmaild.socket chatmaild-filter.socket "
    "chatmaild-http.socket \\\n"
    "	chatmaild.service\n";

/*
 * Not after a restart either: notifications would be sent twice, and the echo bot would answer
 * beside the new one.
 */
static const char disable_old[] =
    "for unit in postfix.service dovecot.service chatmail-echobot.socket \\\n"
    "	chatmaild.socket chatmaild-filter.socket chatmaild-http.socket "
    "chatmaild.service; do\n"
    "	! systemctl is-enabled -q \"$unit\" 2>/dev/null || set -- \"$@\" \"$unit\"\n"
    "done\n"
    "[ $# -eq 0 ] || systemctl disable -q \"$@\"\n";

static const char enable_new[] =
    "systemctl enable -q dovecot.service postfix.service\n";

static const char stop_new[] =
    "systemctl stop chatmaild.socket chatmaild-filter.socket \\\n"
    "	chatmaild-http.socket chatmaild.service\n";

/*
 * What was running read other keys and certificates; OpenDKIM would take seconds to end, and
 * has nothing to do yet. All of it, or nothing: as long as no mail came here, all may be done
 * again. postfix.service is only a name for its instances.
 */
static const char start_new[] =
    "trap 'systemctl stop postfix.service postfix@-.service dovecot.service' EXIT\n"
    "systemctl try-reload-or-restart nginx.service\n"
    "for unit in chatmail-opendkim@sign.service chatmail-opendkim@verify.service \\\n"
    "	chatmaild.socket chatmaild-filter.socket chatmaild-http.socket "
    "chatmaild.service; do\n"
    "	! systemctl is-enabled -q \"$unit\" || set -- \"$@\" \"$unit\"\n"
    "done\n"
    "systemctl kill -s KILL 'chatmail-opendkim@*.service' 2>/dev/null || :\n"
    "systemctl restart \"$@\" dovecot.service postfix@-.service\n"
    "systemctl start --no-block postfix.service\n"
    "rm -f \"$state/migrating\"\n"
    "trap - EXIT\n";

/*
 * Postfix renames at its start what has the number of another file (postsuper(1)). What an
 * earlier switch left on the new server may have been delivered by the old one since.
 */
static const char queue[] =
    "cd /var/spool/postfix\n"
    "set -- active bounce defer deferred hold incoming maildrop trace\n";
static const char pack_queue[] = "tar --create --format=gnu \"$@\"\n";
static const char unpack_queue[] =
    "find \"$@\" -type f -delete\n"
    "tar --extract --preserve-permissions --same-owner\n";

static const char counts[] =
    "find \"$mailboxes\" -mindepth 2 -maxdepth 2 -name password | wc -l\n"
    "find \"$mailboxes\" -type f -regex '.*/\\(cur\\|new\\)/[^/]*' | wc -l\n";

static const char addresses[] =
    "ip -o address show scope global | awk '{ sub(\"/.*\", \"\", $4); print $4 }'\n";

static char *make_script(const struct migration *m, const char *body)
{
	struct text script = { 0 };

	quote_command(&script, "# migrate\nmailboxes=%s state=%s\n%r",
	    m->config->mailboxes_dir, m->config->state_dir, body);
	return text_take(&script);
}

/* Run body; true if it ended well. What it said is in reply, to be freed in any case. */
static bool run_there(struct migration *m, struct host *host, const char *body,
    struct host_reply *reply, char error[ERROR_MAX])
{
	char *script = make_script(m, body);
	bool good = host_run(
	    host, script, span_of(""), progress_line, m->progress, reply, error);

	if (good && reply->status != 0) {
		snprintf(error, ERROR_MAX, "%.250s: %.*s", host_name(host),
		    SPAN_ARG(span_trim(text_span(&reply->err))));
		good = false;
	}
	free(script);
	return good;
}

static bool do_there(
    struct migration *m, struct host *host, const char *body, char error[ERROR_MAX])
{
	struct host_reply reply;
	bool good = run_there(m, host, body, &reply, error);

	host_reply_free(&reply);
	return good;
}

static bool copy_mailboxes(struct migration *m, char error[ERROR_MAX])
{
	struct sync s = { .from = m->old_host,
		.to = m->new_host,
		.from_directory = m->config->mailboxes_dir,
		.to_directory = m->config->mailboxes_dir,
		.progress = m->progress };
	bool good = sync_run(&s, error);

	m->sent += s.sent;
	return good;
}

static bool stop_mail(struct migration *m, char error[ERROR_MAX])
{
	clock_gettime(CLOCK_MONOTONIC, &m->stopped);
	return do_there(m, m->old_host, stop_old, error);
}

static bool start_mail(struct migration *m, char error[ERROR_MAX])
{
	return do_there(m, m->new_host, start_new, error);
}

static bool settle(struct migration *m, char error[ERROR_MAX])
{
	return do_there(m, m->old_host, disable_old, error) &&
	       do_there(m, m->new_host, enable_new, error);
}

static struct forward forward_of(const struct migration *m)
{
	return (struct forward){ .from = m->old_host,
		.to = m->new_host,
		.cert_path = m->config->tls_cert_path,
		.address = m->address,
		.progress = m->progress };
}

static bool are_ready(struct migration *m, char error[ERROR_MAX])
{
	struct forward f = forward_of(m);

	return do_there(m, m->old_host, old_ready, error) &&
	       do_there(m, m->new_host, new_ready, error) &&
	       (!m->is_forward || forward_check(&f, error));
}

static bool copy_queue(struct migration *m, char error[ERROR_MAX])
{
	struct text from = { 0 }, to = { 0 };
	bool good;

	quote_command(&from, "%r%r", queue, pack_queue);
	quote_command(&to, "%r%r", queue, unpack_queue);
	good = sync_pipe(m->old_host, from.data, -1, m->new_host, to.data, m->progress,
	    &m->sent, error);
	text_free(&from);
	text_free(&to);
	return good;
}

static bool copy_state(struct migration *m, char error[ERROR_MAX])
{
	struct text from = { 0 }, to = { 0 };
	bool good;

	backup_script(m->config, BACKUP_STATE, &from);
	text_add(&to, stop_new);
	backup_state_script(m->config, &to);
	good = sync_pipe(m->old_host, from.data, -1, m->new_host, to.data, m->progress,
	    &m->sent, error);
	text_free(&from);
	text_free(&to);
	return good;
}

static bool compare_counts(struct migration *m, char error[ERROR_MAX])
{
	struct host_reply there = { 0 }, here = { 0 };
	bool good = run_there(m, m->old_host, counts, &there, error) &&
		    run_there(m, m->new_host, counts, &here, error);

	if (good && !span_equal(text_span(&there.out), text_span(&here.out))) {
		snprintf(error, ERROR_MAX,
		    "accounts and messages differ: there %.60s, here %.60s",
		    there.out.data, here.out.data);
		good = false;
	}
	host_reply_free(&there);
	host_reply_free(&here);
	return good;
}

struct step {
	const char *what;
	bool (*run)(struct migration *m, char error[ERROR_MAX]);
};

static const struct step copy_steps[] = {
	{ "look at both servers", are_ready },
	{ "copy mailboxes", copy_mailboxes },
};

static const struct step switch_steps[] = {
	{ "look at both servers", are_ready },
	{ "copy mailboxes", copy_mailboxes },
	{ "stop mail on the old server", stop_mail },
	{ "copy what changed meanwhile", copy_mailboxes },
	{ "copy the queue", copy_queue },
	{ "copy keys, certificates, database", copy_state },
	{ "count accounts and messages", compare_counts },
	{ "start mail on the new server", start_mail },
};

static bool run_steps(struct migration *m, const struct step *steps, size_t n)
{
	char error[ERROR_MAX] = "";
	bool good = true;

	for (size_t i = 0; good && i < n; i++) {
		progress_begin(m->progress, steps[i].what);
		good = steps[i].run(m, error);
		progress_end(m->progress, good, NULL);
	}
	if (!good && !host_interrupted(m->old_host) && !host_interrupted(m->new_host))
		say_bad("%s", error);
	return good;
}

static bool forward(struct migration *m, char error[ERROR_MAX])
{
	struct forward f = forward_of(m);

	return forward_start(&f, error);
}

/* What follows when the relay has moved: it is live on the new server, whatever fails. */
static bool run_late(struct migration *m, const char *what,
    bool (*run)(struct migration *m, char error[ERROR_MAX]), const char *remedy)
{
	char error[ERROR_MAX] = "";
	bool good;

	progress_begin(m->progress, what);
	good = run(m, error);
	progress_end(m->progress, good, NULL);
	if (!good)
		say_bad("%s; all else is done, and this by: %s", error, remedy);
	return good;
}

static void note_end(struct migration *m)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	m->away = (double)(now.tv_sec - m->stopped.tv_sec) +
		  (double)(now.tv_nsec - m->stopped.tv_nsec) / 1e9;
}

static bool tell_addresses(struct migration *m)
{
	char error[ERROR_MAX];
	struct host_reply reply;
	struct span rest, address;
	bool good = run_there(m, m->new_host, addresses, &reply, error);

	if (!good)
		say_bad("%s", error);
	rest = text_span(&reply.out);
	while (good && span_cut(&rest, '\n', &address)) {
		bool six = address.len > 0 && memchr(address.data, ':', address.len);

		if (address.len > 0)
			say("   %s. %s %.*s", m->config->mail_domain_bare,
			    six ? "AAAA" : "A", SPAN_ARG(address));
	}
	host_reply_free(&reply);
	return good;
}

static bool tell_rest(struct migration *m, bool forwards)
{
	bool good;

	say_good("All of %s is on %s, and mail runs there; it was away for %.1f s. "
		 "What remains:",
	    m->config->mail_domain, m->new_name, m->away);
	say("1. cmdeploy run --skip-dns-check --ssh-host %s", m->new_name);
	say("2. Let the name lead there:");
	good = tell_addresses(m);
	say("3. cmdeploy dns");
	if (forwards)
		say("4. When the old records have expired everywhere: cmdeploy forward "
		    "--stop %s",
		    m->old_name);
	say("Do not start Postfix on %s again: its queue was copied.", m->old_name);
	return good;
}

static bool switch_over(struct migration *m)
{
	bool forwards, settled;

	if (!run_steps(
		m, switch_steps, sizeof(switch_steps) / sizeof(switch_steps[0]))) {
		if (m->stopped.tv_sec != 0)
			say_bad("Mail on %s is stopped. Do this again; or to go back: "
				"cmdeploy run --ssh-host %s",
			    m->old_name, m->old_name);
		return false;
	}
	forwards = m->is_forward && run_late(m, "forward from the old server", forward,
					"cmdeploy forward OLD NEW");
	note_end(m);
	settled = run_late(m, "settle on both servers", settle,
	    "systemctl disable, on the old server, of postfix, dovecot and chatmaild");
	return tell_rest(m, forwards) && forwards == m->is_forward && settled;
}

static bool migrate(struct migration *m)
{
	if (m->is_switch)
		return switch_over(m);
	if (!run_steps(m, copy_steps, sizeof(copy_steps) / sizeof(copy_steps[0])))
		return false;
	say_good("%" PRIu64 " MiB were copied. Again takes less; add --switch to move.",
	    m->sent >> 20);
	return true;
}

static bool open_hosts(struct migration *m)
{
	char error[HOST_ERROR_MAX];

	m->old_host = host_open(m->old_name, m->common.verbose, error);
	if (m->old_host)
		m->new_host = host_open(m->new_name, m->common.verbose, error);
	if (m->new_host)
		return true;
	say_bad("%s", error);
	return false;
}

static int run(int argc, char **argv)
{
	struct migration m = { .is_switch = false };
	const struct command_option own[] = {
		{ "switch", NULL, "stop mail on OLD and copy all that is left",
		    &m.is_switch, NULL },
		{ "forward", NULL,
		    "with --switch: OLD hands connections on until the DNS has moved",
		    &m.is_forward, NULL },
		{ "address", "IP", "with --forward: of NEW, as OLD reaches it", NULL,
		    &m.address },
	};
	struct config *config;
	int status;

	if (!command_parse(&migrate_command, own, sizeof(own) / sizeof(own[0]),
		&m.common, 2, 2, argc, argv, &status))
		return status;
	if ((m.is_forward && !m.is_switch) || (m.address && !m.is_forward)) {
		say_bad("cmdeploy migrate: --forward goes with --switch, --address "
			"with --forward");
		return COMMAND_USAGE;
	}
	m.old_name = argv[optind];
	m.new_name = argv[optind + 1];
	config = command_load_config(&m.common);
	if (!config)
		return COMMAND_FAILED;
	m.config = config;
	m.progress = progress_create(m.common.verbose);
	status = open_hosts(&m) && migrate(&m) ? COMMAND_OK : COMMAND_FAILED;
	progress_free(m.progress);
	host_close(m.new_host);
	host_close(m.old_host);
	config_free(config);
	return status;
}

const struct command migrate_command = {
	.name = "migrate",
	.arguments = "[--switch [--forward]] OLD NEW",
	.summary = "The relay from one server to another; both reached by ssh.",
	.run = run,
};
