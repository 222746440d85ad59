/*
 * cmdeploy dns: is the zone of the relay as it should be, and what is to be set?
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/command.h"
#include "deploy/dns.h"
#include "deploy/host.h"
#include "deploy/progress.h"

struct options {
	struct command_common common;
	const char *zonefile; /* "-" is stdout; NULL: compare */
	const char *ssh_host;
	const char *resolver;
};

/* Ask the server; false after a message. */
static bool ask_server(
    const struct options *o, const struct config *config, struct dns_server *server)
{
	const char *name = o->ssh_host ? o->ssh_host : config->mail_domain_bare;
	char error[HOST_ERROR_MAX], *script;
	struct host_reply reply = { 0 };
	struct host *host = host_open(name, o->common.verbose, error);
	bool good = false;

	if (!host) {
		say_bad("%s", error);
		return false;
	}
	script = dns_server_script();
	if (!host_run(host, script, span_of(""), NULL, NULL, &reply, error))
		say_bad("%s: %s", name, error);
	else if (reply.status != 0)
		say_bad("%s: asking for addresses and keys failed with status %d: %.*s",
		    name, reply.status, SPAN_ARG(text_span(&reply.err)));
	else
		good = true;
	if (good)
		dns_server_parse(server, text_span(&reply.out), !config->disable_ipv6);
	host_reply_free(&reply);
	host_close(host);
	free(script);
	return good;
}

/* What only a deployed server has. False if something is missing. */
static bool is_deployed(const struct config *config, const struct dns_server *server)
{
	bool account = config->tls_mode != TLS_ACME || server->acme_account;

	if (!account)
		say_bad("The server has no ACME account yet: call cmdeploy run first.");
	if (!server->dkim_key)
		say_bad("The server has no DKIM key yet: call cmdeploy run first.");
	return account && server->dkim_key;
}

static int write_zone(const struct options *o, const struct dns_zone *zone)
{
	FILE *out = stdout;
	bool good;

	if (strcmp(o->zonefile, "-") != 0)
		out = fopen(o->zonefile, "we");
	if (!out) {
		say_bad("%s: %s", o->zonefile, strerror(errno));
		return COMMAND_FAILED;
	}
	dns_zone_print(zone, out);
	good = !ferror(out) && (out == stdout ? fflush(out) : fclose(out)) == 0;
	if (!good)
		say_bad("%s: %s", o->zonefile, strerror(errno));
	return good ? COMMAND_OK : COMMAND_FAILED;
}

static int compare(const struct options *o, const struct dns_zone *zone)
{
	char error[DNS_ERROR_MAX];
	struct dns_report report;
	bool good;

	if (!dns_check(&report, zone, o->resolver, error)) {
		say_bad("DNS: %s", error);
		return COMMAND_FAILED;
	}
	dns_report_print(&report, zone, stdout);
	good = dns_report_is_good(&report);
	dns_report_deinit(&report);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

static int check(const struct options *o, const struct config *config)
{
	char id[DNS_STS_ID_SIZE];
	struct dns_server server;
	struct dns_zone zone;
	bool deployed;
	int status;

	if (!ask_server(o, config, &server))
		return COMMAND_FAILED;
	deployed = is_deployed(config, &server);
	dns_published_sts_id(config, o->resolver, time(NULL), id);
	dns_zone_init(&zone, config, &server, id);
	if (!o->zonefile)
		status = compare(o, &zone);
	else if (deployed)
		status = write_zone(o, &zone);
	else
		status = COMMAND_FAILED;
	dns_zone_deinit(&zone);
	dns_server_deinit(&server);
	return deployed ? status : COMMAND_FAILED;
}

static int run(int argc, char **argv)
{
	struct options o = { 0 };
	const struct command_option own[] = {
		{ "zonefile", "PATH",
		    "write the zone instead of comparing; - is stdout", NULL,
		    &o.zonefile },
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "resolver", "ADDR[@PORT]",
		    "ask this resolver for the name servers (PORT: theirs too)", NULL,
		    &o.resolver },
	};
	struct config *config;
	int status;

	if (!command_parse(&dns_command, own, sizeof(own) / sizeof(own[0]), &o.common,
		0, 0, argc, argv, &status))
		return status;
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	if (config->ipv4_relay) {
		printf("[WARNING] %s is not a domain, skipping DNS checks.\n",
		    config->mail_domain_bare);
		status = COMMAND_OK;
	} else {
		status = check(&o, config);
	}
	config_free(config);
	return status;
}

const struct command dns_command = {
	.name = "dns",
	.arguments = "[--zonefile PATH] [--ssh-host HOST] [--resolver ADDRESS[@PORT]]",
	.summary = "Compare the zone in the DNS with what the relay needs.",
	.run = run,
};
