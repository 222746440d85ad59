/*
 * Three steps: the one server lists its files; the other compares, deletes, and lists what it
 * lacks; an archive of that goes from the one to the other, with nothing kept here.
 */
#include "deploy/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/quote.h"

/*
 * "PATH\tSIZE\tTIME", each ended by a NUL, as a path may hold anything else. Of a directory,
 * whose path ends with a slash, only its being there counts.
 */
static const char list[] =
    "[ -d \"$directory\" ] || {\n"
    "	echo \"there is no $directory: prepare the server by cmdeploy run\" >&2\n"
    "	exit 1\n"
    "}\n"
    "cd \"$directory\"\n"
    "list() {\n"
    "	find . -mindepth 1 \\( -path './*/tmp/*' -o -name 'dovecot*.index*' \\\n"
    "		-o -name maildirsize \\) -prune -o -type d -printf '%P/\\t0\\t0\\0' "
    "\\\n"
    "		-o -type f -printf '%P\\t%s\\t%T@\\0' | sort -z\n"
    "}\n";

static const char compare[] =
    "work=$(mktemp -d)\n"
    "trap 'rm -rf \"$work\"' EXIT\n"
    "cat >\"$work/theirs\"\n"
    "list >\"$work/ours\"\n"
    "paths() {\n"
    "	sed -z 's/\\t[^\\t]*\\t[^\\t]*$//' | sort -z\n"
    "}\n"
    "paths <\"$work/theirs\" >\"$work/names\"\n"
    "paths <\"$work/ours\" | comm -z -23 - \"$work/names\" >\"$work/gone\"\n"
    "xargs -0 -r rm -rf -- <\"$work/gone\"\n"
    "comm -z -23 \"$work/theirs\" \"$work/ours\" | paths\n";

/* What vanished since it was listed is left out, as mail does. */
static const char pack[] =
    "status=0\n"
    "tar --create --format=posix --pax-option=delete=atime,delete=ctime --null \\\n"
    "	--no-recursion --ignore-failed-read --verbatim-files-from --files-from=- \\\n"
    "	2>/dev/null || status=$?\n"
    "[ \"$status\" -le 1 ]\n";

static const char unpack[] = "tar --extract --preserve-permissions --same-owner\n";

static char *make_script(const char *directory, const char *body)
{
	struct text script = { 0 };

	quote_command(
	    &script, "# mailboxes\ndirectory=%s\n%r%r", directory, list, body);
	return text_take(&script);
}

static bool to_file(void *file, struct span bytes)
{
	return fwrite(bytes.data, 1, bytes.len, file) == bytes.len;
}

/* Run body on host; in is what it reads, or -1. What it says: a file without a name. */
static FILE *ask(struct sync *s, struct host *host, const char *script, int in,
    char error[SYNC_ERROR_MAX])
{
	FILE *said = tmpfile();
	const struct host_flow flow = { .from = in, .take = to_file, .arg = said };
	struct host_reply reply = { 0 };
	bool good;

	if (!said) {
		snprintf(
		    error, SYNC_ERROR_MAX, "no file for lists: %s", strerror(errno));
		return NULL;
	}
	good = host_stream(host, script, span_of(""), &flow, progress_line, s->progress,
	    &reply, error);
	if (good && (reply.status != 0 || fflush(said) != 0 || ferror(said))) {
		snprintf(error, SYNC_ERROR_MAX, "%.250s: cannot list mailboxes: %.*s",
		    host_name(host), SPAN_ARG(span_trim(text_span(&reply.err))));
		good = false;
	}
	if (good)
		rewind(said);
	else
		fclose(said);
	host_reply_free(&reply);
	return good ? said : NULL;
}

/* --- from one server to the other ---------------------------------------------------- */

struct sender {
	struct host *host;
	const char *script;
	int in, to; /* descriptors: what the script reads, where its output goes */
	uint64_t sent;
	struct host_reply reply;
	bool good;
	bool unheard; /* the other one did not read all */
	char error[SYNC_ERROR_MAX];
};

static bool hand_on(void *sender, struct span bytes)
{
	struct sender *s = sender;

	s->sent += bytes.len;
	while (bytes.len > 0) {
		ssize_t n = write(s->to, bytes.data, bytes.len);

		if (n < 0 && errno != EINTR) {
			s->unheard = true;
			return false;
		}
		bytes = span_skip(bytes, n > 0 ? (size_t)n : 0);
	}
	return true;
}

static void *send_all(void *sender)
{
	struct sender *s = sender;
	const struct host_flow flow = { .from = s->in, .take = hand_on, .arg = s };

	s->good = host_stream(
	    s->host, s->script, span_of(""), &flow, NULL, NULL, &s->reply, s->error);
	close(s->to);
	return NULL;
}

/* Who failed first is told of: what the other one says follows from that. */
static bool judge_pipe(const struct sender *s, const struct host *to,
    const struct host_reply *reply, char error[SYNC_ERROR_MAX])
{
	bool sent = s->unheard || s->reply.status == 0;

	if (!s->good) {
		snprintf(error, SYNC_ERROR_MAX, "%s", s->error);
		return false;
	}
	if (sent && reply->status == 0 && !s->unheard)
		return true;
	snprintf(error, SYNC_ERROR_MAX, "%.250s: copying failed: %.*s",
	    host_name(sent ? to : s->host),
	    SPAN_ARG(span_trim(text_span(sent ? &reply->err : &s->reply.err))));
	return false;
}

bool sync_pipe(struct host *from, const char *pack_script, int in, struct host *to,
    const char *unpack_script, struct progress *progress, uint64_t *sent,
    char error[SYNC_ERROR_MAX])
{
	struct sender s = { .host = from, .script = pack_script, .in = in };
	struct host_reply reply = { 0 };
	struct host_flow flow = { .take = NULL };
	pthread_t thread;
	int pipes[2];
	bool good;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		abort();
	s.to = pipes[1];
	flow.from = pipes[0];
	if (pthread_create(&thread, NULL, send_all, &s) != 0)
		abort();
	good = host_stream(to, unpack_script, span_of(""), &flow, progress_line,
	    progress, &reply, error);
	close(pipes[0]); /* who still sends hears of it */
	pthread_join(thread, NULL);
	*sent += s.sent;
	if (good)
		good = judge_pipe(&s, to, &reply, error);
	host_reply_free(&reply);
	host_reply_free(&s.reply);
	return good;
}

bool sync_run(struct sync *s, char error[SYNC_ERROR_MAX])
{
	char *list_script = make_script(s->from_directory, "list\n");
	char *compare_script = make_script(s->to_directory, compare);
	char *pack_script = make_script(s->from_directory, pack);
	char *unpack_script = make_script(s->to_directory, unpack);
	FILE *theirs = ask(s, s->from, list_script, -1, error), *lacks = NULL;
	bool good = false;

	if (theirs)
		lacks = ask(s, s->to, compare_script, fileno(theirs), error);
	if (lacks)
		good = sync_pipe(s->from, pack_script, fileno(lacks), s->to,
		    unpack_script, s->progress, &s->sent, error);
	if (theirs)
		fclose(theirs);
	if (lacks)
		fclose(lacks);
	free(list_script);
	free(compare_script);
	free(pack_script);
	free(unpack_script);
	return good;
}
