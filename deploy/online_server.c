/* Tests of a deployed relay that ask its server. */
#include <stdio.h>

#include "deploy/online.h"
#include "deploy/quote.h"

#define EXPIRY_SLACK_DAYS 2 /* expiry runs once a day */
#define DKIM_HOURS_MAX    51

/* Run script; the test passes if it says nothing, else that is why not. */
static enum online_result says_nothing(struct online *o, const char *script)
{
	enum online_result result = ONLINE_FAILED;
	struct text said = { 0 };

	if (online_ask(o, script, &said))
		result = said.len == 0
			     ? ONLINE_PASSED
			     : online_fail(o, "%.*s", (int)said.len - 1, said.data);
	text_free(&said);
	return result;
}

static struct span first_line(struct span text)
{
	struct span line = text;

	span_cut(&text, '\n', &line);
	return line;
}

static enum online_result version(struct online *o)
{
	enum online_result result = ONLINE_FAILED;
	struct text said = { 0 };
	struct span here = first_line(o->version), there;

	if (o->version.len == 0)
		return online_skip(o, "what would be deployed from here is not known");
	if (!online_ask(o, "cat /etc/chatmail-version", &said))
		goto out;
	there = first_line(text_span(&said));
	if (span_equal(text_span(&said), o->version))
		result = ONLINE_PASSED;
	else if (span_equal(here, there))
		online_fail(o, "undeployed changes: what was changed in the checkout "
			       "differs from what is deployed");
	else
		online_fail(o, "undeployed changes: the server has %.*s, this is %.*s",
		    SPAN_ARG(there), SPAN_ARG(here));
out:
	text_free(&said);
	return result;
}

static enum online_result expired(struct online *o)
{
	struct text script = { 0 };
	enum online_result result;

	quote_command(&script,
	    "cd %s && timeout 50 find . -mindepth 3 -type f \\( -path '*/cur/*' -o "
	    "-path '*/new/*' \\) -mtime +%u -printf 'one is from %%TY-%%Tm-%%Td\\n' "
	    "-quit ||\n"
	    "	[ $? = 124 ]\n",
	    o->config->mailboxes_dir,
	    (unsigned)o->config->delete_mails_after + EXPIRY_SLACK_DAYS);
	result = says_nothing(o, script.data);
	text_free(&script);
	return result;
}

/* They are started anew each day, for what they leave in memory. */
static enum online_result opendkim_is_young(struct online *o)
{
	struct text script = { 0 };
	enum online_result result;

	if (o->config->mail_domain[0] == '[')
		return online_skip(o, "a relay without a name has no OpenDKIM");
	quote_command(&script,
	    "for unit in chatmail-opendkim@sign chatmail-opendkim@verify; do\n"
	    "	pid=$(systemctl show -p MainPID --value $unit)\n"
	    "	if [ \"$pid\" = 0 ]; then\n"
	    "		echo \"$unit does not run\"\n"
	    "		continue\n"
	    "	fi\n"
	    "	age=$(ps -o etimes= -p $pid)\n"
	    "	[ $age -le %u ] || echo \"$unit runs for $age seconds\"\n"
	    "done\n",
	    DKIM_HOURS_MAX * 3600U);
	result = says_nothing(o, script.data);
	text_free(&script);
	return result;
}

/* A program that a package replaced while it runs is shown as deleted. */
static enum online_result runs_what_is_installed(struct online *o)
{
	return says_nothing(o,
	    "check() { # NAME PID\n"
	    "	case $(readlink /proc/\"${2:-0}\"/exe || :) in\n"
	    "	'') echo \"$1 does not run\" ;;\n"
	    "	*' (deleted)') echo \"$1 is not what is installed: restart it\" ;;\n"
	    "	esac\n"
	    "}\n"
	    "for unit in dovecot nginx chatmaild; do\n"
	    "	check $unit \"$(systemctl show -p MainPID --value $unit)\"\n"
	    "done\n"
	    "check postfix \"$(tr -d ' ' <\"$(postconf -h "
	    "queue_directory)/pid/master.pid\")\"\n");
}

/*
 * Without it the C library looks at /etc/localtime for every line that is logged. The
 * program wipes its own environment, so the unit is asked, and what it hands on.
 */
static enum online_result time_zone(struct online *o)
{
	return says_nothing(o,
	    "systemctl show -p Environment dovecot | grep -q 'TZ=:/etc/localtime' ||\n"
	    "	echo 'the unit of Dovecot is without TZ=:/etc/localtime'\n"
	    "doveconf -h import_environment | grep -qw TZ ||\n"
	    "	echo 'import_environment of Dovecot is without TZ'\n");
}

static enum online_result access_log(struct online *o)
{
	return says_nothing(o,
	    "n=$(nginx -T 2>/dev/null | grep -cE '^[[:space:]]*access_log ' || :)\n"
	    "[ $n = 1 ] || echo \"nginx has $n lines access_log, not one\"\n");
}

const struct online_test online_server_tests[] = {
	{ "version", "what is deployed is what would be deployed from here", version,
	    false },
	{ "expired", "no message is older than may be", expired, false },
	{ "opendkim_is_young", "OpenDKIM was restarted in the last 51 hours",
	    opendkim_is_young, false },
	{ "runs_what_is_installed", "the programs that run are those installed",
	    runs_what_is_installed, false },
	{ "time_zone", "Dovecot knows its time zone", time_zone, false },
	{ "access_log", "nginx writes one log of requests", access_log, false },
	{ 0 },
};
