/*
 * cmdeploy doctor: is the relay sound? Looked at from here, from inside, and as a user; each
 * thing that is not gets its cause and its remedy.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "deploy/answer.h"
#include "deploy/command.h"
#include "deploy/dns.h"
#include "deploy/doctor_dns.h"
#include "deploy/doctor_doors.h"
#include "deploy/doctor_mail.h"
#include "deploy/doctor_server.h"
#include "deploy/doctor_web.h"
#include "deploy/host.h"
#include "deploy/manifest.h"
#include "deploy/progress.h"

#define COMMAND_WARNINGS 3 /* exit code: warnings, but no trouble */
#define MAIL_HOSTS_MAX   2
#define CONTROL_MS       5000 /* to reach port 25 of anybody */

struct options {
	struct command_common common;
	const char *ssh_host, *from, *resolver, *mail_host;
	bool json;
};

/* One consultation. */
struct visit {
	const struct options *o;
	const struct config *config;
	struct doctor *doctor;
	struct progress *progress;
	const char *mail_host[MAIL_HOSTS_MAX];
	size_t nmail_hosts;

	struct host *host, *from; /* NULL: not reached */
	struct doors doors;
	struct doors_knocking *knocking;

	struct wanted *deployed; /* of the server's manifest */
	struct facts *facts;
	struct host_reply health;     /* of doctor_server_script() */
	struct host_reply from_there; /* of doors_script() */

	struct dns_server known;
	struct dns_zone zone;
	struct dns_report dns;
	char dns_error[DNS_ERROR_MAX];
	bool dns_asked, dns_found;
	pthread_t dns_thread;
};

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Run a script on the server; false if that was not possible, which is noted. */
static bool ask(
    struct visit *v, struct host *host, const char *script, struct host_reply *reply)
{
	char error[HOST_ERROR_MAX];

	if (host_run(
		host, script, span_of(""), progress_line, v->progress, reply, error))
		return true;
	if (!host_interrupted(host))
		doctor_note(v->doctor, DOCTOR_TROUBLE, "ssh", "try again",
		    "the connection to %s broke: %s", host_name(host), error);
	return false;
}

/* The clock, and what the last whole run wanted. */
static const char first_script[] =
    "# the clock, and what was deployed\n"
    "echo clock \"$(date +%s%6N)\"\n"
    "last=$(ls -d /var/lib/cmdeploy/generations/[0-9]*/applied 2>/dev/null |\n"
    "	cut -d / -f 6 | sort -n | tail -n 1)\n"
    "[ -z \"$last\" ] || cat \"/var/lib/cmdeploy/generations/$last/manifest\"\n";

static void read_manifest(struct visit *v, struct span text)
{
	char error[MANIFEST_ERROR_MAX];

	if (text.len > 0)
		v->deployed = manifest_parse(text, error);
	if (!v->deployed)
		doctor_note(v->doctor, DOCTOR_TROUBLE, "deployment", "cmdeploy run",
		    "%s",
		    text.len > 0 ? "the server's record of what was deployed is broken"
				 : "the server was never deployed to by cmdeploy");
}

static bool ask_first(struct visit *v)
{
	struct host_reply reply = { 0 };
	int64_t before = now_us(), after, server;
	bool good = ask(v, v->host, first_script, &reply);
	struct span rest = text_span(&reply.out), line, value;

	after = now_us();
	if (good && span_cut(&rest, '\n', &line)) {
		if (answer_find(line, "clock", &value) &&
		    (server = answer_number(value)) > 0)
			doctor_judge_clock(v->doctor, before, server, after);
		read_manifest(v, rest.data ? rest : span_of(""));
	}
	host_reply_free(&reply);
	return good;
}

static void *check_dns(void *arg)
{
	struct visit *v = arg;

	v->dns_found = dns_check(&v->dns, &v->zone, v->o->resolver, v->dns_error);
	return NULL;
}

/* Begin with the zone, by what is known of the server. */
static void begin_dns(struct visit *v)
{
	char id[DNS_STS_ID_SIZE];

	if (v->config->ipv4_relay)
		return;
	if (v->host) {
		dns_published_sts_id(v->config, v->o->resolver, time(NULL), id);
		dns_zone_init(&v->zone, v->config, &v->known, id);
	} else {
		dns_zone_init_precheck(&v->zone, v->config);
	}
	v->dns_asked = pthread_create(&v->dns_thread, NULL, check_dns, v) == 0;
	if (!v->dns_asked)
		dns_zone_deinit(&v->zone);
}

static void end_dns(struct visit *v)
{
	if (!v->dns_asked)
		return;
	pthread_join(v->dns_thread, NULL);
	if (v->dns_found)
		doctor_judge_dns(v->doctor, &v->dns);
	else
		doctor_note(v->doctor, DOCTOR_TROUBLE, "dns servers",
		    "see whether this machine is online, and whether the domain is "
		    "still "
		    "registered",
		    "%s", v->dns_error);
}

static bool ask_known(struct visit *v)
{
	struct host_reply reply = { 0 };
	char *script = dns_server_script();
	bool good = ask(v, v->host, script, &reply);

	if (good)
		dns_server_parse(
		    &v->known, text_span(&reply.out), !v->config->disable_ipv6);
	host_reply_free(&reply);
	free(script);
	return good;
}

static bool ask_facts(struct visit *v)
{
	struct host_reply reply = { 0 };
	char error[FACTS_ERROR_MAX], *script = facts_script(v->deployed);
	bool good = ask(v, v->host, script, &reply);

	if (good)
		v->facts = facts_parse(v->deployed, text_span(&reply.out), error);
	if (good && !v->facts)
		doctor_note(v->doctor, DOCTOR_UNTRIED, "deployment", NULL, "%s", error);
	host_reply_free(&reply);
	free(script);
	return good;
}

static struct doctor_question question(const struct visit *v)
{
	return (struct doctor_question){
		.config = v->config,
		.deployed = v->deployed,
		.mail_hosts = v->mail_host,
		.nmail_hosts = v->nmail_hosts,
	};
}

static void ask_health(struct visit *v)
{
	const struct doctor_question q = question(v);
	char *script = doctor_server_script(&q);

	ask(v, v->host, script, &v->health);
	free(script);
}

/* All that the server can say itself. */
static void look_inside(struct visit *v)
{
	char error[HOST_ERROR_MAX];

	v->host =
	    host_open(v->o->ssh_host ? v->o->ssh_host : v->config->mail_domain_bare,
		v->o->common.verbose, error);
	if (!v->host)
		doctor_note(v->doctor, DOCTOR_TROUBLE, "ssh",
		    "without it nothing is known of the inside", "%s", error);
	else
		doctor_note(v->doctor, DOCTOR_SOUND, "ssh", NULL, "%s is reached",
		    host_name(v->host));
	if (!v->host || !ask_first(v) || !ask_known(v)) {
		begin_dns(v);
		return;
	}
	begin_dns(v);
	if (v->deployed)
		ask_facts(v);
	ask_health(v);
}

/* As another host sees the ports. */
static void look_from(struct visit *v)
{
	char error[HOST_ERROR_MAX], *script;

	if (!v->o->from || !v->host)
		return;
	v->from = host_open(v->o->from, v->o->common.verbose, error);
	if (!v->from) {
		doctor_note(v->doctor, DOCTOR_UNTRIED, "from", NULL, "%s: %s",
		    v->o->from, error);
		return;
	}
	script = doors_script(&v->doors);
	ask(v, v->from, script, &v->from_there);
	free(script);
}

/* Does anybody's port 25 answer to this machine? Only asked if the relay's does not. */
static int control_port_25(struct visit *v)
{
	bool closed = false, reached = false;

	for (size_t i = 0; i < v->doors.n; i++)
		closed |= v->doors.door[i].port == 25 &&
			  v->doors.door[i].failure != DIAL_FINE;
	for (size_t i = 0; closed && !reached && i < v->nmail_hosts; i++) {
		const struct dial_target target = { .host = v->mail_host[i],
			.port = 25 };
		struct dial *dial = dial_open(&target, CONTROL_MS);

		reached = dial_failure(dial) == DIAL_FINE ||
			  dial_failure(dial) == DIAL_REFUSED;
		dial_close(dial);
	}
	return closed ? reached : -1;
}

static void judge(struct visit *v)
{
	const struct doctor_question q = question(v);
	const struct doors_elsewhere elsewhere = {
		.host = v->from ? v->o->from : NULL,
		.said = text_span(&v->from_there.out),
	};
	struct span health = text_span(&v->health.out);

	if (v->facts)
		doctor_judge_drift(v->doctor, &q, v->facts, health);
	doctor_judge_health(v->doctor, &q, v->facts, health);
	doors_judge(v->doctor, &v->doors, v->facts, &elsewhere, control_port_25(v));
	doors_judge_tls(v->doctor, &v->doors, v->config, health, time(NULL));
}

static bool is_open(const struct visit *v)
{
	const struct doctor_finding *f = doctor_find(v->doctor, "registration");

	return f && f->severity == DOCTOR_SOUND && !v->config->invites;
}

/* Have the account's end arranged before it begins. */
static bool guard(struct visit *v, const struct doctor_account *account, bool open)
{
	char error[HOST_ERROR_MAX], *script = doctor_guard_script(account, !open);
	struct host_reply reply = { 0 };
	bool good = host_run(v->host, script, span_of(account->password), progress_line,
			v->progress, &reply, error) &&
		    reply.status == 0;

	if (!good)
		doctor_note(v->doctor, DOCTOR_UNTRIED, "mail login", NULL,
		    "no account for trying could be made: %.200s",
		    reply.err.len > 0 ? reply.err.data : error);
	host_reply_free(&reply);
	free(script);
	return good;
}

static void delete_account(struct visit *v, const struct doctor_account *account)
{
	char *script = doctor_delete_script(account);
	struct host_reply reply = { 0 };

	ask(v, v->host, script, &reply);
	host_reply_free(&reply);
	free(script);
}

static void try_as_user(struct visit *v)
{
	const char *https = doors_address(&v->doors, 443);
	char *record =
	    v->dns_asked && v->dns_found ? doctor_dkim_record(&v->dns) : NULL;
	struct doctor_account account;
	const struct doctor_mail mail = {
		.config = v->config,
		.account = &account,
		.doors = &v->doors,
		.dkim_record = record,
		.signs = !v->config->ipv4_relay,
	};

	if (https)
		doctor_try_web(v->doctor, v->config, https, is_open(v));
	if (!doors_address(&v->doors, 993))
		doctor_note(v->doctor, DOCTOR_UNTRIED, "mail login", NULL,
		    "port 993 does not answer, so nothing of mail was tried");
	else if (!v->host || !doctor_account_init(&account, v->config))
		doctor_note(v->doctor, DOCTOR_UNTRIED, "mail login", NULL,
		    "without a way to delete an account none is made");
	else if (guard(v, &account, is_open(v))) {
		doctor_try_mail(v->doctor, &mail);
		delete_account(v, &account);
	}
	free(record);
}

static bool interrupted(const struct visit *v)
{
	return (v->host && host_interrupted(v->host)) ||
	       (v->from && host_interrupted(v->from));
}

static void examine(struct visit *v)
{
	char addresses[DOOR_ADDRESSES][INET6_ADDRSTRLEN];
	size_t n = doctor_addresses(
	    v->config->mail_domain_bare, v->o->resolver, addresses, DOOR_ADDRESSES);

	doors_init(&v->doors, v->config->mail_domain_bare, addresses, n);
	v->knocking = doors_knock(&v->doors);
	if (n == 0)
		doctor_note(v->doctor, DOCTOR_TROUBLE, "port none",
		    "set the A record, see cmdeploy dns",
		    "this machine finds no address of %s, so no port was tried",
		    v->config->mail_domain_bare);
	look_inside(v);
	look_from(v);
	doors_wait(v->knocking);
	end_dns(v);
	if (interrupted(v))
		return;
	judge(v);
	try_as_user(v);
	doctor_explain(v->doctor);
}

static void forget(struct visit *v)
{
	if (v->dns_asked) {
		if (v->dns_found)
			dns_report_deinit(&v->dns);
		dns_zone_deinit(&v->zone);
	}
	dns_server_deinit(&v->known);
	host_reply_free(&v->health);
	host_reply_free(&v->from_there);
	facts_free(v->facts);
	wanted_free(v->deployed);
	host_close(v->from);
	host_close(v->host);
}

static int consult(const struct options *o, const struct config *config)
{
	struct visit *v = calloc(1, sizeof(*v));
	int64_t began = dial_now_ms();
	enum doctor_severity worst;

	if (!v)
		abort();
	v->o = o;
	v->config = config;
	v->doctor = doctor_create();
	v->progress = progress_create(o->common.verbose);
	v->mail_host[v->nmail_hosts++] =
	    o->mail_host ? o->mail_host : "nine.testrun.org";
	if (!o->mail_host)
		v->mail_host[v->nmail_hosts++] = "gmail-smtp-in.l.google.com";
	progress_begin(v->progress, "look at the relay");
	examine(v);
	progress_free(v->progress);
	if (!interrupted(v) && o->json)
		doctor_print_json(v->doctor, config->mail_domain,
		    (double)(dial_now_ms() - began) / 1000, stdout);
	else if (!interrupted(v))
		doctor_print(v->doctor, o->common.verbose, stdout);
	fflush(stdout);
	worst = doctor_worst(v->doctor);
	forget(v); /* and ends, if it was interrupted */
	doctor_free(v->doctor);
	free(v);
	return worst == DOCTOR_TROUBLE   ? COMMAND_FAILED
	       : worst == DOCTOR_WARNING ? COMMAND_WARNINGS
					 : COMMAND_OK;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "from", "HOST", "look at the ports from this host, too, by ssh", NULL,
		    &o.from },
		{ "mail-host", "NAME", "whose port 25 the server must reach", NULL,
		    &o.mail_host },
		{ "resolver", "ADDR[@PORT]", "as of cmdeploy dns", NULL, &o.resolver },
		{ "json", NULL, "answer in JSON", &o.json, NULL },
	};
	struct config *config;
	int status;

	if (!command_parse(&doctor_command, own, sizeof(own) / sizeof(own[0]),
		&o.common, 0, 0, argc, argv, &status))
		return status;
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	signal(SIGPIPE, SIG_IGN);
	status = consult(&o, config);
	config_free(config);
	return status;
}

const struct command doctor_command = {
	.name = "doctor",
	.arguments = "[--json] [--ssh-host HOST] [--from HOST] [--mail-host NAME]",
	.summary = "Look for what is wrong with the relay: cause and remedy.",
	.run = run,
};
