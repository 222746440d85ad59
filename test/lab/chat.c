/*
 * Two real Delta Chat clients on two relays: they log in as they are told, get to know each
 * other by SecureJoin and talk; every message must arrive encrypted. Then a command runs,
 * while they go on: each message must arrive, and once, however long it takes. At last one
 * more message goes to Alice: her relay may have to notify somebody by now.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deploy/chat.h"

#define ROUNDS     5
#define TIMEOUT_MS 60000
#define PATIENT_MS 300000       /* while the command runs */
#define FIND_OUT   "configure:" /* then ADDRESS:PASSWORD */

struct lab_chat {
	struct deltachat_program program;
	const char *dir, *command;
	struct chat chat;
	char error[CHAT_ERROR_MAX];
};

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

__attribute__((format(printf, 1, 2))) static bool fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("chat: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return false;
}

static bool client_failed(struct lab_chat *c, const struct chat_end *p)
{
	chat_failed(p, p == &c->chat.a ? &c->chat.b : &c->chat.a, c->error);
	return fail("%s", c->error);
}

static int log_in(const struct chat_end *p, const char *login)
{
	char address[256], password[128];

	if (strncmp(login, FIND_OUT, strlen(FIND_OUT)) != 0)
		return deltachat_follow(p->client, login);
	if (sscanf(login, FIND_OUT "%255[^:]:%127s", address, password) != 2)
		return -1;
	return deltachat_find(p->client, address, password);
}

/* Whoever calls us learns the address and the password, too. */
static bool tell_login(struct lab_chat *c, const struct chat_end *p)
{
	char *address = deltachat_address(p->client);
	char *password = deltachat_config(p->client, "mail_pw");
	bool good = address && password;

	if (good)
		printf("%s %s %s\n", p->name, address, password);
	else
		client_failed(c, p);
	free(address);
	free(password);
	return good;
}

static bool come_online(struct lab_chat *c, struct chat_end *p, const char *login)
{
	double begin = seconds_now();

	p->client = deltachat_start(&c->program, c->dir, p->name);
	if (!p->client)
		return fail("cannot start a client in %s: %s", c->dir, strerror(errno));
	deltachat_set_timeout(p->client, TIMEOUT_MS);
	if (log_in(p, login) < 0)
		return client_failed(c, p);
	printf("onboard %s %.2f s\n", p->name, seconds_now() - begin);
	return tell_login(c, p);
}

static bool get_acquainted(struct lab_chat *c)
{
	double begin = seconds_now();

	if (!chat_meet(&c->chat, c->error))
		return fail("%s", c->error);
	printf("securejoin %.2f s\n", seconds_now() - begin);
	return true;
}

static bool say(struct lab_chat *c, bool back, const char *text)
{
	const struct chat_end *a = &c->chat.a, *b = &c->chat.b;

	return chat_say(back ? b : a, back ? a : b, text, NULL, c->error) ||
	       fail("%s", c->error);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool talk(struct lab_chat *c)
{
	double ms[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		double begin;

		chat_pause();
		begin = seconds_now();
		if (!say(c, false, "How are you?") || !say(c, true, "Well, and you?"))
			return false;
		ms[i] = (seconds_now() - begin) * 1000;
	}
	qsort(ms, ROUNDS, sizeof(ms[0]), compare_doubles);
	printf("talk %d rounds: min %.0f ms, median %.0f ms, max %.0f ms\n", ROUNDS,
	    ms[0], ms[ROUNDS / 2], ms[ROUNDS - 1]);
	return true;
}

static pid_t start_command(const char *command)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* One after the other, so that a message that is lost, late or doubled is missed at once. */
static bool talk_on(struct lab_chat *c, unsigned *n, double *longest)
{
	char text[32];
	double begin;

	chat_pause();
	snprintf(text, sizeof(text), "Meanwhile %u", *n);
	begin = seconds_now();
	if (!say(c, *n % 2 != 0, text))
		return false;
	++*n;
	begin = seconds_now() - begin;
	if (begin > *longest)
		*longest = begin;
	return true;
}

static bool talk_meanwhile(struct lab_chat *c)
{
	pid_t pid = start_command(c->command), ended;
	unsigned n = 0;
	double longest = 0;
	bool good = true;
	int status = 0;

	if (pid < 0)
		return fail("cannot run the command: %s", strerror(errno));
	deltachat_set_timeout(c->chat.a.client, PATIENT_MS);
	deltachat_set_timeout(c->chat.b.client, PATIENT_MS);
	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && good)
		good = talk_on(c, &n, &longest);
	if (ended == 0)
		waitpid(pid, &status, 0);
	printf("meanwhile %u messages, the slowest took %.1f s\n", n, longest);
	if (status != 0)
		return fail("the command between failed");
	return good;
}

static bool one_more(struct lab_chat *c)
{
	if (!c->command)
		return true;
	if (!talk_meanwhile(c))
		return false;
	chat_pause();
	return say(c, true, "Did it ring?");
}

int main(int argc, char **argv)
{
	struct lab_chat c = { .chat = { { .name = "alice" }, { .name = "bob" } } };
	bool good;

	if (argc != 5 && argc != 6) {
		fputs("usage: chat SERVER DIR ALICE BOB [COMMAND]\n"
		      "  SERVER      the deltachat-rpc-server program\n"
		      "  DIR         where the clients keep their data; must exist\n"
		      "  ALICE, BOB  a link of theirs, or configure:ADDRESS:PASSWORD\n"
		      "  COMMAND     what the shell runs before the last message, "
		      "while they go on\n",
		    stderr);
		return 2;
	}
	c.program.server = argv[1];
	c.dir = argv[2];
	c.command = argv[5];
	setvbuf(stdout, NULL, _IOLBF, 0);
	good = come_online(&c, &c.chat.a, argv[3]) &&
	       come_online(&c, &c.chat.b, argv[4]) && get_acquainted(&c) && talk(&c) &&
	       one_more(&c);
	deltachat_stop(c.chat.a.client);
	deltachat_stop(c.chat.b.client);
	return good ? 0 : 1;
}
