/*
 * cmdeploy restore: a backup onto a server. The file is read through and verified before the
 * server is touched, and there it is unpacked whole before anything is put in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/archive.h"
#include "deploy/backup.h"
#include "deploy/command.h"
#include "deploy/host.h"
#include "deploy/program.h"
#include "deploy/progress.h"

#define FORMAT "1" /* of archives that can be read */

struct options {
	struct command_common common;
	const char *ssh_host, *identity;
	const char *path; /* of the file */
	bool force;
};

/* The archive as bytes: the file, or what a program makes of it. */
struct source {
	int fd;
	pid_t program; /* 0: none */
};

struct restore {
	const struct options *o;
	const struct config *config;
	struct host *host;
	struct progress *progress;
	struct archive_counts counts; /* of the archive */
};

/* NULL: it is not encrypted. Else the name of the program that it is for. */
static const char *find_program(int fd)
{
	char first[64] = "";
	ssize_t n = pread(fd, first, sizeof(first) - 1, 0);
	struct span s = span_make(first, n > 0 ? (size_t)n : 0);

	if (span_starts(s, ARCHIVE_INFO))
		return NULL;
	if (span_starts(s, "age-encryption.org/") || span_starts(s, "-----BEGIN AGE"))
		return "age";
	return "gpg";
}

static bool start_program(const struct options *o, const char *name, struct source *s)
{
	const char *gpg[] = { "gpg", "--quiet", "--decrypt", NULL };
	const char *age[] = { "age", "--decrypt", o->identity ? "--identity" : NULL,
		o->identity, NULL };
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		abort();
	s->program = program_start(name[0] == 'a' ? age : gpg, s->fd, pipes[1]);
	close(pipes[1]);
	close(s->fd);
	s->fd = pipes[0];
	if (!s->program)
		say_bad("%s cannot be started: %s; is it installed?", name,
		    strerror(errno));
	return s->program != 0;
}

static bool source_open(const struct options *o, struct source *s)
{
	const char *program;

	*s = (struct source){ .fd = open(o->path, O_RDONLY | O_CLOEXEC) };
	if (s->fd < 0) {
		say_bad("%s: %s", o->path, strerror(errno));
		return false;
	}
	program = find_program(s->fd);
	return !program || start_program(o, program, s);
}

/* True if all that was read came from a program that ended well. */
static bool source_close(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	return !s->program || program_end(s->program);
}

/* Is it a backup of this relay? */
static bool judge_info(struct restore *r, const struct archive *a)
{
	const struct config *config = r->config;
	struct span value = span_of("?");

	if (archive_info(a, "chatmail-backup", &value) && !span_is(value, FORMAT)) {
		say_bad("%s is of a newer cmdeploy: its format is %.*s, and this one "
			"reads " FORMAT,
		    r->o->path, SPAN_ARG(value));
		return false;
	}
	if (!archive_info(a, "domain", &value) ||
	    !span_is(value, config->mail_domain)) {
		say_bad("%s is a backup of %.*s, but %s is of %s", r->o->path,
		    SPAN_ARG(value), config->path, config->mail_domain);
		return false;
	}
	if (!archive_info(a, "mailboxes", &value) ||
	    !span_is(value, config->mailboxes_dir)) {
		say_bad("%s has its mailboxes in %.*s, but %s has them in %s: use the "
			"chatmail.ini of the backup",
		    r->o->path, SPAN_ARG(value), config->path, config->mailboxes_dir);
		return false;
	}
	r->counts = archive_counts(a);
	return true;
}

static bool read_through(struct restore *r)
{
	struct archive *a = archive_create();
	const char *wrong = NULL;
	struct source s;
	char bytes[65536];
	ssize_t n = 0;
	bool good = source_open(r->o, &s), closed;

	while (good && !wrong && !host_interrupted(r->host) &&
	       (n = read(s.fd, bytes, sizeof(bytes))) > 0) {
		wrong = archive_feed(a, span_make(bytes, (size_t)n), NULL);
		progress_line(r->progress, NULL);
	}
	if (n < 0)
		wrong = strerror(errno);
	closed = source_close(&s); /* the program fails, too, if it is not heard out */
	if (good && !wrong && !host_interrupted(r->host))
		wrong = closed ? archive_verify(a) : "it could not be decrypted";
	if (wrong)
		say_bad("%s cannot be restored: %s", r->o->path, wrong);
	good = good && !wrong && judge_info(r, a);
	archive_free(a);
	return good;
}

/* The first number behind key in what the script said. */
static uint64_t told(const struct host_reply *reply, const char *key)
{
	struct span rest = text_span(&reply->out), line;

	while (span_cut(&rest, '\n', &line)) {
		if (span_starts(line, key))
			return strtoull(line.data + strlen(key), NULL, 10);
	}
	return UINT64_MAX;
}

static bool is_empty_host(struct restore *r)
{
	char error[HOST_ERROR_MAX];
	struct text script = { 0 };
	struct host_reply reply;
	bool good;

	backup_look_script(r->config, &script);
	good = host_run(r->host, script.data, span_of(""), NULL, NULL, &reply, error);
	if (good && reply.status == 3)
		say_bad("%s has a relay already: %.*s. With --force, its mailboxes are "
			"moved aside and all else is replaced.",
		    host_name(r->host), SPAN_ARG(span_trim(text_span(&reply.out))));
	else if (good && reply.status != 0)
		say_bad(
		    "%s: %.*s", host_name(r->host), SPAN_ARG(text_span(&reply.err)));
	else if (!good && !host_interrupted(r->host))
		say_bad("%s", error);
	good = good && reply.status == 0;
	host_reply_free(&reply);
	text_free(&script);
	return good;
}

/* What the script found on the server, against what the archive holds. */
static bool judge_counts(struct restore *r, const struct host_reply *reply)
{
	uint64_t accounts = told(reply, "accounts "),
		 messages = told(reply, "messages ");
	struct span rest = text_span(&reply->out), line;

	while (span_cut(&rest, '\n', &line)) {
		if (span_starts(line, "aside "))
			say("The mailboxes that were there are now in %.*s; remove "
			    "them "
			    "when nobody misses anything.",
			    SPAN_ARG(span_skip(line, strlen("aside "))));
	}
	if (accounts != r->counts.accounts || messages != r->counts.messages) {
		say_bad("%s has %" PRIu64 " accounts and %" PRIu64
			" messages now; the backup has %" PRIu64 " and %" PRIu64,
		    host_name(r->host), accounts, messages, r->counts.accounts,
		    r->counts.messages);
		return false;
	}
	say_good("%" PRIu64 " accounts and %" PRIu64
		 " messages are restored. Call `cmdeploy run%s%s` next.",
	    accounts, messages, r->o->ssh_host ? " --ssh-host " : "",
	    r->o->ssh_host ? r->o->ssh_host : "");
	return true;
}

static bool send_archive(struct restore *r)
{
	char error[HOST_ERROR_MAX] = "";
	struct text script = { 0 };
	struct host_reply reply = { 0 };
	struct host_flow flow = { .from = -1 };
	struct source s;
	bool good = source_open(r->o, &s), ran = false;

	backup_restore_script(r->config, r->o->force, &script);
	progress_begin(r->progress, "restore");
	flow.from = s.fd;
	if (good)
		ran = host_stream(r->host, script.data, span_of(""), &flow,
		    progress_line, r->progress, &reply, error);
	good = source_close(&s) && ran && reply.status == 0;
	progress_end(r->progress, good, NULL);
	if (good)
		good = judge_counts(r, &reply);
	else if (ran)
		say_bad("%s: %.*s", host_name(r->host),
		    SPAN_ARG(span_trim(text_span(&reply.err))));
	else if (!host_interrupted(r->host))
		say_bad("%s", error);
	host_reply_free(&reply);
	text_free(&script);
	return good;
}

static bool restore(struct restore *r)
{
	bool good;

	if (!r->o->force && !is_empty_host(r))
		return false;
	progress_begin(r->progress, "verify the backup");
	good = read_through(r);
	progress_end(r->progress, good, NULL);
	return good && !host_interrupted(r->host) && send_archive(r);
}

static int run(int argc, char **argv)
{
	struct options o = { .path = NULL };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "identity", "PATH", "the key of age(1), if it is encrypted by that",
		    NULL, &o.identity },
		{ "force", NULL, "also onto a server that has a relay", &o.force,
		    NULL },
	};
	struct restore r = { .o = &o };
	char error[HOST_ERROR_MAX];
	struct config *config;
	int status;

	if (!command_parse(&restore_command, own, sizeof(own) / sizeof(own[0]),
		&o.common, 1, 1, argc, argv, &status))
		return status;
	o.path = argv[optind];
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	r.config = config;
	r.host = host_open(o.ssh_host ? o.ssh_host : config->mail_domain_bare,
	    o.common.verbose, error);
	status = COMMAND_FAILED;
	if (r.host) {
		r.progress = progress_create(o.common.verbose);
		status = restore(&r) ? COMMAND_OK : COMMAND_FAILED;
		progress_free(r.progress);
	} else {
		say_bad("%s", error);
	}
	host_close(r.host);
	config_free(config);
	return status;
}

const struct command restore_command = {
	.name = "restore",
	.arguments = "[--force] [--identity PATH] FILE",
	.summary = "A backup onto a server; run comes next.",
	.run = run,
};
