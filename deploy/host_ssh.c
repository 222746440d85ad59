/*
 * The connection by the system's ssh(1): one that stays (ControlMaster in ssh_config(5)),
 * and the commands that share it. Keys, agents, ports, jump hosts, the policy about host
 * keys: all as the user configured them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deploy/host_impl.h"
#include "deploy/host_talk.h"

#define ANSWER "cmdeploy-ready\n"

/* Waits for the end of its input once it said who it is and that it may become root. */
static const char master_command[] =
    "sh -c 'if test $(id -u) -eq 0; then echo cmdeploy-root; "
    "else sudo -n true || exit 1; fi; "
    "echo cmdeploy-ready; exec cat >/dev/null'";

/* Whatever the user's config says of these would be in the way. */
static const char *const common_options[] = { "-T", "-a", "-x", "-o",
	"ClearAllForwardings=yes", "-o", "PermitLocalCommand=no", "-o",
	"RemoteCommand=none" };

static const char *const master_options[] = { "-o", "ControlMaster=yes", "-o",
	"ControlPersist=no", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10",
	"-o", "ServerAliveCountMax=3", "-o", "LogLevel=INFO" };

/* Without the connection it shall fail, and not make a new one. */
static const char *const session_options[] = { "-o", "ControlMaster=no", "-o",
	"ProxyCommand=false", "-o", "LogLevel=ERROR" };

static void add_arguments(
    const char *argv[], size_t *n, const char *const *more, size_t nmore)
{
	/* Room for the destination, the command and the NULL. */
	if (*n + nmore + 6 > HOST_ARGUMENTS_MAX)
		abort();
	for (size_t i = 0; i < nmore; i++)
		argv[(*n)++] = more[i];
}

#define ADD(argv, n, options)                                                          \
	add_arguments(argv, n, options, sizeof(options) / sizeof((options)[0]))

/* "ssh ... -S CONTROL [-l root] -- NAME COMMAND" */
static void end_arguments(
    const struct host *h, const char *argv[], size_t n, const char *command)
{
	argv[n++] = "-S";
	argv[n++] = h->control;
	if (h->root_user)
		argv[n++] = "-lroot";
	argv[n++] = "--";
	argv[n++] = h->name;
	argv[n++] = command;
	argv[n] = NULL;
}

void host_ssh_arguments(
    const struct host *h, const char *command, const char *argv[HOST_ARGUMENTS_MAX])
{
	size_t n = 0;

	argv[n++] = "ssh";
	ADD(argv, &n, common_options);
	ADD(argv, &n, session_options);
	end_arguments(h, argv, n, command);
}

/* Passphrases and unknown host keys can only be asked about where somebody may answer. */
static bool may_ask(void)
{
	int fd;

	if (getenv("SSH_ASKPASS"))
		return true;
	fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool explain_start(char error[HOST_ERROR_MAX])
{
	if (errno == ENOENT)
		snprintf(error, HOST_ERROR_MAX,
		    "there is no program ssh here; install openssh-client");
	else
		snprintf(
		    error, HOST_ERROR_MAX, "cannot start ssh: %s", strerror(errno));
	return false;
}

/* The value that "ssh -G" tells of key, a line "KEY VALUE". */
static bool find_setting(struct span settings, const char *key, struct span *value)
{
	struct span line, name;

	while (span_cut(&settings, '\n', &line)) {
		if (span_cut(&line, ' ', &name) && span_is(name, key)) {
			*value = span_trim(line);
			return line.data != NULL;
		}
	}
	return false;
}

/*
 * Without any word about the user, ssh takes the local user's name. It does not tell whether
 * it did so, but a config that names just that one needs no naming.
 */
static bool is_local_user(struct span user)
{
	const struct passwd *me = getpwuid(getuid());

	return me && span_is(user, me->pw_name);
}

/* Find out who to log in as; false if ssh cannot read its config. */
static bool find_user(struct host *h, char error[HOST_ERROR_MAX])
{
	const char *argv[] = { "ssh", "-T", "-G", "--", h->name, NULL };
	struct text out = { 0 }, err = { 0 };
	struct talk t = { .child = &h->master, .out = &out, .err = &err };
	enum talk_end end;
	struct span user;
	bool good;

	if (!child_start(&h->master, argv, false))
		return explain_start(error);
	end = talk(&t);
	good = end == TALK_ENDED && h->master.status == 0;
	if (end == TALK_INTERRUPTED)
		snprintf(error, HOST_ERROR_MAX, "interrupted");
	else if (!good)
		host_remedy(h->name, false, text_span(&err), error);
	else if (!strchr(h->name, '@') && find_setting(text_span(&out), "user", &user))
		h->root_user = is_local_user(user);
	text_free(&out);
	text_free(&err);
	return good;
}

/* Its path is short: a UNIX socket's has at most 104 bytes, and ssh appends some. */
static bool make_directory(struct host *h, char error[HOST_ERROR_MAX])
{
	char template[] = "/tmp/cmdeploy-XXXXXX";

	if (!mkdtemp(template)) {
		snprintf(error, HOST_ERROR_MAX, "%s: %s", template, strerror(errno));
		return false;
	}
	if (asprintf(&h->directory, "%s", template) < 0 ||
	    asprintf(&h->control, "%s/ssh", template) < 0)
		abort();
	return true;
}

static bool start_master(struct host *h, char error[HOST_ERROR_MAX])
{
	static const char *const batch[] = { "-o", "BatchMode=yes" };
	const char *argv[HOST_ARGUMENTS_MAX];
	size_t n = 0;

	argv[n++] = "ssh";
	ADD(argv, &n, common_options);
	ADD(argv, &n, master_options);
	if (!may_ask())
		ADD(argv, &n, batch);
	end_arguments(h, argv, n, master_command);
	/* In our process group: it may ask on the terminal. */
	return child_start(&h->master, argv, false) || explain_start(error);
}

bool host_ssh_connect(struct host *h, char error[HOST_ERROR_MAX])
{
	struct text out = { 0 };
	struct talk t = { .child = &h->master,
		.answer = ANSWER,
		.out = &out,
		.err = &h->master_err };
	enum talk_end end;

	if (!find_user(h, error) || !make_directory(h, error) ||
	    !start_master(h, error))
		return false;
	h->round_trips++;
	end = talk(&t);
	if (end == TALK_INTERRUPTED)
		snprintf(error, HOST_ERROR_MAX, "interrupted");
	else if (end != TALK_ANSWERED)
		host_remedy(h->name, h->root_user, text_span(&h->master_err), error);
	else
		h->sudo = !strstr(out.data, "cmdeploy-root\n");
	text_free(&out);
	/* What a later break has to say is not to be searched in the greeting. */
	text_free(&h->master_err);
	return end == TALK_ANSWERED;
}

void host_ssh_disconnect(struct host *h)
{
	/* It hangs up by itself when nobody talks to it; but not over a dead line. */
	child_stop(&h->master);
	text_free(&h->master_err);
	if (h->control)
		unlink(h->control);
	if (h->directory)
		rmdir(h->directory);
	free(h->control);
	free(h->directory);
}

void host_ssh_explain_break(
    struct host *h, const struct text *err, char error[HOST_ERROR_MAX])
{
	char last[300];

	/* The connection's own ssh knows best; it is about to end, or did. */
	while (h->master.err >= 0 && talk_read(&h->master.err, &h->master_err) > 0)
		talk_trim(&h->master_err);
	host_last_line(text_span(&h->master_err), last, sizeof(last));
	if (last[0] == '\0')
		host_last_line(text_span(err), last, sizeof(last));
	snprintf(error, HOST_ERROR_MAX,
	    "the connection to %.250s broke%s%s; run the command again when the server "
	    "is reachable: it goes on from there",
	    h->name, last[0] ? ": " : "", last);
}
