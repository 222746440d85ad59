/*
 * cmdeploy backup: the relay into one file of this machine, while it works. Nothing is kept
 * on the server meanwhile but a copy of the database.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deploy/archive.h"
#include "deploy/backup.h"
#include "deploy/command.h"
#include "deploy/host.h"
#include "deploy/program.h"
#include "deploy/progress.h"

struct options {
	struct command_common common;
	const char *ssh_host, *age, *gpg;
	const char *path; /* of the file */
	bool no_mail;
};

/* The file that is written: under another name until it is whole. */
struct backup {
	const struct options *o;
	char *part;
	int file; /* what is written to it */
	int to;   /* where the archive goes: the file, or a program that encrypts */
	pid_t program; /* 0: none */
	struct archive *archive;
	struct progress *progress;
	uint64_t passed;   /* bytes */
	const char *wrong; /* with the archive */
	int error;         /* errno of a write that failed */
};

static bool write_all(struct backup *b, struct span bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(b->to, bytes.data, bytes.len);

		if (n < 0 && errno != EINTR) {
			b->error = errno;
			return false;
		}
		bytes = span_skip(bytes, n > 0 ? (size_t)n : 0);
	}
	return true;
}

static bool take(void *backup, struct span bytes)
{
	struct backup *b = backup;
	struct text out = { 0 };
	char done[32];
	bool good;

	b->wrong = archive_feed(b->archive, bytes, &out);
	good = !b->wrong && write_all(b, text_span(&out));
	text_free(&out);
	b->passed += bytes.len;
	snprintf(done, sizeof(done), "%" PRIu64 " MiB", b->passed >> 20);
	progress_line(b->progress, done);
	return good;
}

static bool start_program(struct backup *b)
{
	const char *age[] = { "age", "--encrypt", "--recipient", b->o->age, NULL };
	/* Mail is encrypted already: it gets no smaller. */
	const char *gpg[] = { "gpg", "--batch", "--quiet", "--compress-algo", "none",
		"--encrypt", "--recipient", b->o->gpg, NULL };
	const char *const *argv = b->o->age ? age : gpg;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		abort();
	b->program = program_start(argv, pipes[0], b->file);
	close(pipes[0]);
	b->to = pipes[1];
	if (!b->program)
		say_bad("%s cannot be started: %s; is it installed?", argv[0],
		    strerror(errno));
	return b->program != 0;
}

/* The file, and what leads to it. */
static bool open_file(struct backup *b)
{
	const char *path = b->o->path;

	if (asprintf(&b->part, "%s.part", path) < 0)
		abort();
	if (access(path, F_OK) == 0) {
		say_bad("%s: is there already", path);
		return false;
	}
	/* What a broken-off one left may be readable for others. */
	unlink(b->part);
	b->file =
	    open(b->part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (b->file < 0) {
		say_bad("%s: %s", b->part, strerror(errno));
		return false;
	}
	b->to = b->file;
	return (!b->o->age && !b->o->gpg) || start_program(b);
}

/* All is written: does it stand on the disk? */
static bool close_file(struct backup *b)
{
	bool good = true;

	if (b->to != b->file)
		close(b->to);
	b->to = b->file;
	if (b->program && !program_end(b->program)) {
		say_bad("%s could not encrypt it for %s", b->o->age ? "age" : "gpg",
		    b->o->age ? b->o->age : b->o->gpg);
		good = false;
	}
	b->program = 0;
	if (good && fsync(b->file) < 0) {
		say_bad("%s: %s", b->part, strerror(errno));
		good = false;
	}
	return good;
}

/* Read it again, as a restore would. */
static bool read_again(struct backup *b)
{
	struct archive *again = archive_create();
	const char *wrong = NULL;
	char bytes[65536];
	ssize_t n = 1;

	lseek(b->file, 0, SEEK_SET);
	while (!wrong && (n = read(b->file, bytes, sizeof(bytes))) > 0)
		wrong = archive_feed(again, span_make(bytes, (size_t)n), NULL);
	if (!wrong)
		wrong = n < 0 ? strerror(errno) : archive_verify(again);
	if (wrong)
		say_bad("%s: was written, but read again %s", b->part, wrong);
	archive_free(again);
	return !wrong;
}

static bool fetch(struct backup *b, const struct config *config, struct host *host)
{
	const struct host_flow flow = { .from = -1, .take = take, .arg = b };
	char error[HOST_ERROR_MAX] = "interrupted";
	struct text script = { 0 };
	struct host_reply reply;
	bool good;

	backup_script(config, b->o->no_mail ? BACKUP_ACCOUNTS : BACKUP_ALL, &script);
	progress_begin(b->progress, "backup");
	good = host_stream(host, script.data, span_of(""), &flow, progress_line,
	    b->progress, &reply, error);
	if (good) {
		good = !b->error && !b->wrong && reply.status == 0 &&
		       archive_ended(b->archive);
		if (b->error)
			snprintf(error, sizeof(error), "%.500s: %s", b->part,
			    strerror(b->error));
		else if (b->wrong)
			snprintf(error, sizeof(error), "%s", b->wrong);
		else
			snprintf(error, sizeof(error), "%.500s: %.*s", host_name(host),
			    SPAN_ARG(span_trim(text_span(&reply.err))));
	}
	progress_end(b->progress, good, NULL);
	if (!good && !host_interrupted(host))
		say_bad("%s", error);
	host_reply_free(&reply);
	text_free(&script);
	return good;
}

/* That of path: then its new name stands on the disk, too. */
static bool sync_directory(const char *path)
{
	char *copy = strdup(path);
	int fd;
	bool good;

	if (!copy)
		abort();
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	good = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	free(copy);
	return good;
}

static bool finish(struct backup *b)
{
	struct archive_counts n = archive_counts(b->archive);
	bool encrypted = b->program != 0, good;
	struct text seal = { 0 };

	archive_seal(b->archive, &seal);
	good = write_all(b, text_span(&seal));
	text_free(&seal);
	if (!good)
		say_bad("%s: %s", b->part, strerror(b->error));
	good = close_file(b) && good && (encrypted || read_again(b));
	if (good && (rename(b->part, b->o->path) < 0 || !sync_directory(b->o->path))) {
		say_bad("%s: %s", b->o->path, strerror(errno));
		good = false;
	}
	if (good)
		say_good("%s: %" PRIu64 " accounts, %" PRIu64 " messages, %" PRIu64
			 " MiB%s",
		    b->o->path, n.accounts, n.messages, n.bytes >> 20,
		    encrypted ? ", encrypted" : ", read again and found whole");
	return good;
}

static int make(struct backup *b, const struct config *config)
{
	const struct options *o = b->o;
	char error[HOST_ERROR_MAX];
	struct host *host =
	    host_open(o->ssh_host ? o->ssh_host : config->mail_domain_bare,
		o->common.verbose, error);
	bool good;

	if (!host) {
		say_bad("%s", error);
		return COMMAND_FAILED;
	}
	good = open_file(b) && fetch(b, config, host) && finish(b);
	if (!good && b->file >= 0) {
		close_file(b);
		unlink(b->part);
	}
	if (b->file >= 0)
		close(b->file);
	free(b->part);
	host_close(host);
	return good ? COMMAND_OK : COMMAND_FAILED;
}

static int run(int argc, char **argv)
{
	struct options o = { .path = NULL };
	const struct command_option own[] = {
		COMMAND_SSH_HOST(&o.ssh_host),
		{ "no-mail", NULL, "the accounts, but not their messages", &o.no_mail,
		    NULL },
		{ "age", "RECIPIENT", "encrypt it by age(1)", NULL, &o.age },
		{ "gpg", "RECIPIENT", "encrypt it by gpg(1)", NULL, &o.gpg },
	};
	struct backup b = { .o = &o, .file = -1, .to = -1 };
	struct config *config;
	int status;

	if (!command_parse(&backup_command, own, sizeof(own) / sizeof(own[0]),
		&o.common, 1, 1, argc, argv, &status))
		return status;
	if (o.age && o.gpg) {
		say_bad("cmdeploy backup: either --age or --gpg");
		return COMMAND_USAGE;
	}
	o.path = argv[optind];
	config = command_load_config(&o.common);
	if (!config)
		return COMMAND_FAILED;
	b.archive = archive_create();
	b.progress = progress_create(o.common.verbose);
	status = make(&b, config);
	progress_free(b.progress);
	archive_free(b.archive);
	config_free(config);
	return status;
}

const struct command backup_command = {
	.name = "backup",
	.arguments = "[--no-mail] [--age|--gpg RECIPIENT] FILE",
	.summary = "The relay into one file of this machine, while it works.",
	.run = run,
};
