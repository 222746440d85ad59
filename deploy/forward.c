/* The scripts that make a server hand on its connections, and what they find out first. */
#include "deploy/forward.h"

#include <stdlib.h>

#include "deploy/quote.h"

static const char *const functions[] = {
#include "forward_sh.inc"
};

static const char head[] = "unit=" FORWARD_UNIT " directory=" FORWARD_DIRECTORY "\n";

/* What the new server says of itself: its certificate's fingerprint, then addresses. */
static const char describe[] =
    "openssl x509 -in \"$cert\" -noout -fingerprint -sha256\n"
    "ip -o address show scope global | awk '{ sub(\"/.*\", \"\", $4); print $4 }'\n";

static void add_functions(struct text *script)
{
	text_add(script, head);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		text_add(script, functions[i]);
}

/* True if it ended well; what it said is in reply, to be freed in any case. */
static bool run_there(struct host *host, const char *script, struct progress *progress,
    struct host_reply *reply, char error[FORWARD_ERROR_MAX])
{
	if (!host_run(host, script, span_of(""), progress_line, progress, reply, error))
		return false;
	if (reply->status == 0)
		return true;
	snprintf(error, FORWARD_ERROR_MAX, "%.250s: %.*s", host_name(host),
	    SPAN_ARG(span_trim(text_span(&reply->err))));
	return false;
}

/* The beginning of a script for the old server: where to look for the new one. */
static bool describe_new(
    const struct forward *f, struct text *script, char error[FORWARD_ERROR_MAX])
{
	struct host_reply reply = { 0 };
	struct text ask = { 0 }, addresses = { 0 };
	struct span rest, fingerprint, address;
	bool good;

	quote_command(&ask, "# its certificate and addresses\ncert=%s\n%r",
	    f->cert_path, describe);
	good = run_there(f->to, ask.data, f->progress, &reply, error);
	rest = text_span(&reply.out);
	if (good && span_cut(&rest, '\n', &fingerprint)) {
		text_add(script, "# forward\nfingerprint=");
		quote_shell(script, fingerprint);
		while (!f->address && span_cut(&rest, '\n', &address))
			text_printf(&addresses, "%.*s ", SPAN_ARG(address));
		if (f->address)
			text_add(&addresses, f->address);
		text_add(script, " addresses=");
		quote_shell(script, text_span(&addresses));
		text_add(script, "\n");
	}
	text_free(&addresses);
	text_free(&ask);
	host_reply_free(&reply);
	return good;
}

/* A function of forward.sh, where the new server is known. */
static bool call_on_old(
    const struct forward *f, const char *call, char error[FORWARD_ERROR_MAX])
{
	struct host_reply reply = { 0 };
	struct text script = { 0 };
	bool good = describe_new(f, &script, error);

	if (good) {
		add_functions(&script);
		text_add(&script, call);
		good = run_there(f->from, script.data, f->progress, &reply, error);
	}
	host_reply_free(&reply);
	text_free(&script);
	return good;
}

bool forward_check(const struct forward *f, char error[FORWARD_ERROR_MAX])
{
	return call_on_old(f, "find_new 443\n", error);
}

bool forward_start(const struct forward *f, char error[FORWARD_ERROR_MAX])
{
	return call_on_old(f, "start\n", error);
}

bool forward_stop(
    struct host *host, struct progress *progress, char error[FORWARD_ERROR_MAX])
{
	struct host_reply reply = { 0 };
	struct text script = { 0 };
	bool good;

	text_add(&script, "# stop forwarding\n");
	add_functions(&script);
	text_add(&script, "stop\n");
	good = run_there(host, script.data, progress, &reply, error);
	host_reply_free(&reply);
	text_free(&script);
	return good;
}
