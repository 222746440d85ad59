/* chatmailctl on the server: its words there, its output here. */
#include "deploy/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "deploy/host.h"
#include "deploy/lines.h"
#include "deploy/progress.h"
#include "deploy/quote.h"

char *control_script(const struct control *c)
{
	struct text script = { 0 };

	text_add(&script,
	    "# chatmailctl\n"
	    "command -v chatmailctl >/dev/null || {\n"
	    "	echo 'There is no chatmailctl on this server: bring it up to "
	    "date by cmdeploy run.' >&2\n"
	    "	exit 1\n"
	    "}\n");
	quote_command(&script, "exec chatmailctl%r%r%r -- %s", c->json ? " --json" : "",
	    c->yes ? " --yes" : "", c->password_stdin ? " --password-stdin" : "",
	    c->verb);
	for (int i = 0; i < c->nwords; i++)
		quote_command(&script, " %s", c->words[i]);
	text_add(&script, "\n");
	return text_take(&script);
}

static void on_line(void *arg, struct span line)
{
	text_write_visible(stdout, line, "\t");
	putchar('\n');
	fflush(stdout);
}

static void on_error_line(void *arg, const char *line)
{
	if (!line)
		return;
	text_write_visible(stderr, span_of(line), "\t");
	fputc('\n', stderr);
}

static int run_there(const struct control *c, struct host *host)
{
	struct lines lines = { .line = on_line };
	const struct host_flow flow = { .from = -1, .take = lines_take, .arg = &lines };
	char error[HOST_ERROR_MAX], *script = control_script(c);
	struct host_reply reply;
	int status = COMMAND_FAILED;

	if (host_stream(host, script, c->in, &flow, on_error_line, NULL, &reply, error))
		status = reply.status <= COMMAND_USAGE ? reply.status : COMMAND_FAILED;
	else if (!host_interrupted(host))
		say_bad("%s", error);
	lines_end(&lines);
	host_reply_free(&reply);
	free(script);
	return status;
}

int control_run(const struct control *c)
{
	struct config *config = command_load_config(c->common);
	char error[HOST_ERROR_MAX];
	struct host *host;
	int status = COMMAND_FAILED;

	if (!config)
		return COMMAND_FAILED;
	host = host_open(c->ssh_host ? c->ssh_host : config->mail_domain_bare,
	    c->common->verbose, error);
	if (host)
		status = run_there(c, host);
	else
		say_bad("%s", error);
	host_close(host);
	config_free(config);
	return status;
}

bool control_confirm(const char *question)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO)) {
		say_bad("%s There is no terminal to ask on: add --yes.", question);
		return false;
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}
