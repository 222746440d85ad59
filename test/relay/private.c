#include "test/relay/private.h"

#include <err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not below /tmp: OpenDKIM refuses keys below a directory that all may write to. */
#define DIR_TEMPLATE "/run/chatmail-test-XXXXXX"

/* How to end the relay, for when the program ends before it does that itself. */
static char end_command[1024];

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[4096];
	va_list ap;

	va_start(ap, format);
	if (vsnprintf(command, sizeof(command), format, ap) >= (int)sizeof(command))
		errx(1, "command too long: %s", command);
	va_end(ap);
	if (system(command) != 0)
		errx(1, "failed: %s", command);
}

static const char *need_env(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		errx(1, "%s is not set: run me by meson test", name);
	return value;
}

static void read_ports(struct private_relay *r)
{
	char path[128], name[32];
	unsigned port;
	FILE *file;

	snprintf(path, sizeof(path), "%s/ports", r->dir);
	file = fopen(path, "re");
	if (!file)
		err(1, "%s", path);
	while (fscanf(file, "%31[^=]=%u\n", name, &port) == 2) {
		if (strcmp(name, "smtp") == 0)
			r->smtp = port;
		else if (strcmp(name, "submission") == 0)
			r->submission = port;
		else if (strcmp(name, "submissions") == 0)
			r->submissions = port;
		else if (strcmp(name, "imaps") == 0)
			r->imaps = port;
		else if (strcmp(name, "https") == 0)
			r->https = port;
	}
	fclose(file);
}

static void end_at_exit(void)
{
	if (end_command[0] && system(end_command) != 0)
		warnx("failed: %s", end_command);
}

/* execl() is one of the few calls a handler may make. */
static void end_on_signal(int number)
{
	execl("/bin/sh", "sh", "-c", end_command, (char *)NULL);
	_exit(1);
}

/* A relay outlives who started it: the test runner ends slow tests by a signal. */
static void end_in_any_case(const struct private_relay *r)
{
	struct sigaction action = { .sa_handler = end_on_signal };

	snprintf(end_command, sizeof(end_command), "'%s' down %s && rm -rf %s",
	    need_env("CHATMAIL_RELAY"), r->dir, r->dir);
	atexit(end_at_exit);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

bool private_possible(void)
{
	if (geteuid() == 0 && access("/usr/sbin/postfix", X_OK) == 0 &&
	    access("/usr/sbin/opendkim", X_OK) == 0 &&
	    access("/usr/lib/nginx/modules/ngx_stream_module.so", R_OK) == 0 &&
	    access("/usr/sbin/dovecot", X_OK) == 0)
		return true;
	fputs("needs root and the packages of scripts/packages.sh\n", stderr);
	return false;
}

void private_up(struct private_relay *r, const char *options)
{
	const char *script = need_env("CHATMAIL_RELAY"),
		   *build = need_env("CHATMAIL_BUILD");

	strcpy(r->dir, DIR_TEMPLATE);
	if (!mkdtemp(r->dir))
		err(1, "%s", r->dir);
	end_in_any_case(r);
	shell("'%s' up %s --build '%s' %s", script, r->dir, build, options);
	read_ports(r);
}

void private_down(struct private_relay *r)
{
	shell("'%s' down %s && rm -rf %s", need_env("CHATMAIL_RELAY"), r->dir, r->dir);
	end_command[0] = '\0';
}

void private_part(const struct private_relay *r, const char *verb, const char *part)
{
	shell("'%s' %s %s %s", need_env("CHATMAIL_RELAY"), verb, r->dir, part);
}

void private_flush(const struct private_relay *r)
{
	shell("postqueue -c %s/etc/postfix -f", r->dir);
}

/* All of a file, malloc()ed. */
static char *read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file || getdelim(&text, &size, '\0', file) < 0)
		err(1, "%s", path);
	*len = strlen(text);
	fclose(file);
	return text;
}

char *private_sign(const struct private_relay *r, const char *domain,
    const char *key_domain, const char *message, size_t *len)
{
	char path[128];
	FILE *pipe;
	char *text, command[512];

	snprintf(path, sizeof(path), "%s/remote/signed.eml", r->dir);
	snprintf(command, sizeof(command),
	    "opendkim-testmsg -C -d %s -s test -k %s/remote/%s.private >%s", domain,
	    r->dir, key_domain, path);
	pipe = popen(command, "w");
	if (!pipe)
		err(1, "%s", command);
	fputs(message, pipe);
	if (pclose(pipe) != 0)
		errx(1, "failed: %s", command);
	text = read_file(path, len);
	unlink(path);
	return text;
}
