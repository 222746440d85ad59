/*
 * The server that is deployed to. A command goes there as a line for its login shell, which
 * may be any, and that line makes sh read the script from its standard input: so there is
 * no limit to its length, and nothing in it is quoted twice.
 */
#include "deploy/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/host_impl.h"
#include "deploy/host_talk.h"

#define BEGIN     "cmdeploy-begin\n"
#define NOISE_MAX (64 * 1024) /* bytes that a login shell may say before BEGIN */

/*
 * %zu is the script's length in bytes. The shells of the world agree about single quotes
 * that hold no quote, backslash or exclamation mark. 255 is what ssh says of itself.
 */
#define COMMAND                                                                        \
	"sh -c 'echo cmdeploy-begin; export LC_ALL=C "                                 \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; "          \
	"umask 022; cd /; "                                                            \
	"(set -eu; s=$(head -c %zu); eval \"$s\"); s=$?; "                             \
	"test $s -ne 255 || s=254; exit $s'"

static bool is_local_name(const char *name)
{
	return strcmp(name, "localhost") == 0 || strcmp(name, "@local") == 0;
}

static bool is_good_name(const char *name)
{
	if (name[0] == '\0' || name[0] == '-')
		return false;
	for (; *name; name++) {
		if (span_control(*name) || *name == ' ')
			return false;
	}
	return true;
}

/* May we become root here without a password? */
static bool check_local(struct host *h, char error[HOST_ERROR_MAX])
{
	struct host_reply reply;
	bool good;

	if (!h->sudo)
		return true;
	good = host_run(
	    h, "# May we become root?", span_of(""), NULL, NULL, &reply, error);
	if (!good && reply.err.len > 0)
		host_remedy(h->name, false, text_span(&reply.err), error);
	host_reply_free(&reply);
	return good;
}

struct host *host_open(const char *name, bool verbose, char error[HOST_ERROR_MAX])
{
	struct host *h = calloc(1, sizeof(*h));

	if (!h || !(h->name = strdup(name)))
		abort();
	h->verbose = verbose;
	h->local = is_local_name(name);
	h->master = (struct child){ .in = -1, .out = -1, .err = -1 };
	host_signals_catch(&h->signals);
	if (!is_good_name(name)) {
		snprintf(error, HOST_ERROR_MAX,
		    "\"%.250s\" cannot be the name of a server", name);
	} else if (h->local) {
		h->sudo = geteuid() != 0;
		if (check_local(h, error))
			return h;
	} else if (host_ssh_connect(h, error)) {
		return h;
	}
	host_close(h);
	return NULL;
}

void host_close(struct host *h)
{
	if (!h)
		return;
	host_ssh_disconnect(h);
	host_signals_restore(&h->signals);
	free(h->name);
	free(h);
}

const char *host_name(const struct host *h)
{
	return h->name;
}

bool host_is_local(const struct host *h)
{
	return h->local;
}

unsigned host_round_trips(const struct host *h)
{
	return h->round_trips;
}

bool host_interrupted(const struct host *h)
{
	return host_signals_caught() != 0;
}

/* "[$ what it does]": a script says so in a comment at its front. */
static void show_command(const char *script)
{
	struct span rest = span_of(script), line;

	span_cut(&rest, '\n', &line);
	while (line.len > 0 && (line.data[0] == '#' || line.data[0] == ' '))
		line = span_skip(line, 1);
	fputs("[$ ", stderr);
	text_write_visible(stderr, line, "\t");
	fputs(span_starts(span_of(script), "#") || rest.len == 0 ? "]\n" : " ...]\n",
	    stderr);
}

static bool start(
    struct host *h, struct child *child, size_t script_len, char error[HOST_ERROR_MAX])
{
	const char *argv[HOST_ARGUMENTS_MAX];
	char *command;
	bool good;

	if (asprintf(&command, "%s" COMMAND, h->sudo ? "sudo -n " : "", script_len) < 0)
		abort();
	if (h->local) {
		argv[0] = "sh";
		argv[1] = "-c";
		argv[2] = command;
		argv[3] = NULL;
	} else {
		host_ssh_arguments(h, command, argv);
	}
	good = child_start(child, argv, true);
	if (!good)
		snprintf(error, HOST_ERROR_MAX, "cannot start %s: %s", argv[0],
		    strerror(errno));
	free(command);
	return good;
}

/* Take off what the login shell said, and our own mark. False if that is not there. */
static bool take_begin(struct text *out)
{
	struct span all = text_span(out);
	size_t window = all.len < NOISE_MAX ? all.len : NOISE_MAX;
	const char *at = window ? memmem(all.data, window, BEGIN, strlen(BEGIN)) : NULL;
	size_t skip;

	if (!at)
		return false;
	skip = (size_t)(at - all.data) + strlen(BEGIN);
	out->len -= skip;
	memmove(out->data, out->data + skip, out->len + 1);
	return true;
}

/* What the script says goes to whom it is for, once the mark was seen. */
struct passage {
	const struct host_flow *flow;
	bool begun;
};

static bool pass_on(void *arg, struct text *out)
{
	struct passage *p = arg;
	bool good;

	p->begun = p->begun || take_begin(out);
	if (!p->begun || out->len == 0)
		return out->len <= NOISE_MAX;
	good = p->flow->take(p->flow->arg, text_span(out));
	out->len = 0;
	return good;
}

/* True if the script ran to its end. */
static bool judge(struct host *h, enum talk_end end, bool begun,
    struct host_reply *reply, char error[HOST_ERROR_MAX])
{
	char last[300];

	if (end == TALK_INTERRUPTED) {
		snprintf(error, HOST_ERROR_MAX, "interrupted");
	} else if (end == TALK_TOO_MUCH) {
		snprintf(error, HOST_ERROR_MAX,
		    "%.250s: a command said more than %d MiB", h->name,
		    HOST_OUTPUT_MAX >> 20);
	} else if (!h->local && reply->status == 255) {
		host_ssh_explain_break(h, &reply->err, error);
	} else if (!begun) {
		host_last_line(text_span(&reply->err), last, sizeof(last));
		snprintf(error, HOST_ERROR_MAX,
		    "%.250s: no shell could be started there: %s", h->name,
		    last[0] ? last : "it says nothing");
	} else {
		return true;
	}
	return false;
}

/* flow: NULL, or where the bytes go. */
static bool run(struct host *h, const char *script, struct span in,
    const struct host_flow *flow, host_line *line, void *arg, struct host_reply *reply,
    char error[HOST_ERROR_MAX])
{
	struct text whole = { 0 };
	struct passage passage = { .flow = flow };
	struct child child;
	struct talk t = { .child = &child, .line = line, .arg = arg };
	enum talk_end end;

	*reply = (struct host_reply){ 0 };
	if (h->verbose)
		show_command(script);
	/* One command for the parser: what came only in part is a mistake, and not run. */
	text_printf(&whole, "{\n:\n%s\n}\n", script);
	h->round_trips++;
	if (!start(h, &child, whole.len, error)) {
		text_free(&whole);
		return false;
	}
	t.in[0] = text_span(&whole);
	t.in[1] = in;
	t.out = &reply->out;
	t.err = &reply->err;
	if (!h->local) {
		t.aside = &h->master.err;
		t.aside_err = &h->master_err;
	}
	if (flow && flow->take) {
		t.drain = pass_on;
		t.drain_arg = &passage;
	}
	if (flow && flow->from >= 0)
		t.source = &flow->from;
	end = talk(&t);
	reply->status = child.status;
	text_free(&whole);
	if (end == TALK_REFUSED && t.source_error == 0)
		return true;
	if (t.source_error != 0)
		snprintf(error, HOST_ERROR_MAX, "what is to be sent cannot be read: %s",
		    strerror(t.source_error));
	return t.source_error == 0 &&
	       judge(h, end, passage.begun || take_begin(&reply->out), reply, error);
}

bool host_run(struct host *h, const char *script, struct span in, host_line *line,
    void *arg, struct host_reply *reply, char error[HOST_ERROR_MAX])
{
	return run(h, script, in, NULL, line, arg, reply, error);
}

bool host_stream(struct host *h, const char *script, struct span in,
    const struct host_flow *flow, host_line *line, void *arg, struct host_reply *reply,
    char error[HOST_ERROR_MAX])
{
	return run(h, script, in, flow, line, arg, reply, error);
}

void host_reply_free(struct host_reply *reply)
{
	text_free(&reply->out);
	text_free(&reply->err);
}
