/* What is shown of a relay, from what its server says. */
#include "deploy/status.h"

#include <stdlib.h>

#include "test/support.h"

#define NOW 1767225600 /* 2026-01-01 00:00 */

static struct config *make_config(void)
{
	char ini[] = "[params]\nmail_domain = chat.example\n";

	return config_parse("ini", ini, strlen(ini), stderr);
}

static struct text show(const char *output, unsigned *look)
{
	struct config *config = make_config();
	struct status_question q = {
		.config = config,
		.unit = { "dovecot.service" },
		.nunits = 1,
		.version_sha256 = "abc",
	};
	struct text t = { 0 };
	char *page = NULL;
	size_t len;
	FILE *out = open_memstream(&page, &len);

	*look = status_print(&q, span_of(output), NOW, out);
	fclose(out);
	text_add(&t, page);
	free(page);
	config_free(config);
	return t;
}

static void all_is_well(void **state)
{
	unsigned look;
	struct text t = show(
	    "system 0.10 0.20 0.30 1048576\n"
	    "registration open\n"
	    "version abc 1234567\n"
	    "queue 1 23\n"
	    "certificate 1772409600\n"
	    "mailboxes 42\n"
	    "disk / 53687091200 107374182400\n"
	    "echobot https://i.delta.chat/#AB\n"
	    "package ii  dovecot-core 1:2.3.19\n"
	    "package un  nginx \n"
	    "unit dovecot.service active\n"
	    "running   ssh.service loaded active running OpenBSD Secure Shell server\n",
	    &look);

	assert_int_equal(look, 0);
	assert_string_equal(t.data,
	    "registration  open\n"
	    "version       1234567, as it is here\n"
	    "certificate   until 2026-03-02 00:00 UTC, 60 days\n"
	    "mailboxes     42\n"
	    "queue         1 active, 23 deferred\n"
	    "load          0.10 0.20 0.30\n"
	    "memory        1024 MiB available\n"
	    "disk          /: 50.0 of 100.0 GiB free, 50 % used\n"
	    "echo bot      https://i.delta.chat/#AB\n"
	    "\nPackages\n  dovecot-core 1:2.3.19\n"
	    "\nUnits of the relay\n  dovecot.service active\n"
	    "\nFailed units\n  none\n"
	    "\nRunning services\n"
	    "  ssh.service loaded active running OpenBSD Secure Shell server\n");
	text_free(&t);
}

struct look_case {
	const char *name, *output;
	unsigned look; /* beside the certificate, which is there or counts */
	const char *says;
};

static const struct look_case look_cases[] = {
	{ "certificate ends soon", "certificate 1767830400\n", 1, "7 days" },
	{ "certificate has ended", "certificate 1767139200\n", 1, "ended 2025-12-31" },
	{ "no certificate", "", 1,
	    "none at /var/lib/acme/live/chat.example/fullchain" },
	{ "failed unit", "certificate 1772409600\nfailed nginx.service\n", 1,
	    "Failed units\n  nginx.service\n" },
	{ "needed unit is down",
	    "certificate 1772409600\nunit dovecot.service inactive\n", 1,
	    "dovecot.service inactive" },
	{ "disk nearly full", "certificate 1772409600\ndisk /home 5 100\n", 1,
	    "95 % used" },
	{ "closed", "certificate 1772409600\nregistration closed\n", 0,
	    "closed by /etc/chatmail-nocreate" },
	{ "undeployed changes", "certificate 1772409600\nversion other 1\n", 0,
	    "undeployed changes" },
	{ "never deployed", "certificate 1772409600\n", 0, "never deployed" },
	{ "bytes of all kinds", "certificate 1772409600\nversion abc \033[2J\n", 0,
	    "\\x1b[2J" },
	{ "no numbers",
	    "certificate 1772409600\nmailboxes x\nqueue 1\ndisk / 9 1\ndisk\n", 0,
	    "mailboxes     unknown\nqueue         unknown\n" },
	{ "huge numbers",
	    "certificate 1772409600\nmailboxes 99999999999999999999999999\n", 0,
	    "mailboxes     unknown\n" },
};

static void looks(void **state)
{
	const struct look_case *c = *state;
	unsigned look;
	struct text t = show(c->output, &look);

	assert_int_equal(look, c->look);
	if (!strstr(t.data, c->says))
		fail_msg("'%s' is not in: %s", c->says, t.data);
	text_free(&t);
}

/* The script runs here as it does there. */
static void script_runs(void **state)
{
	struct config *config = make_config();
	struct status_question q = {
		.config = config, .unit = { "dovecot.service" }, .nunits = 1
	};
	char *script = status_script(&q), *command, line[1024];
	bool registration = false, disk = false;
	FILE *out;

	assert_true(
	    asprintf(&command, "sh -eu <<'END' 2>/dev/null\n%sEND\n", script) > 0);
	out = popen(command, "re");
	while (fgets(line, sizeof(line), out)) {
		registration = registration || strncmp(line, "registration ", 13) == 0;
		disk = disk || strncmp(line, "disk / ", 7) == 0;
	}
	assert_int_equal(pclose(out), 0);
	assert_true(registration);
	assert_true(disk);
	free(command);
	free(script);
	config_free(config);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(all_is_well) },
		{ SUPPORT_TABLE(looks, look_cases) },
		{ SUPPORT_TEST(script_runs) },
	};

	return support_run("status", tests, ARRAY_LEN(tests));
}
