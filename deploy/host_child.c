/* Starting a program with pipes, and seeing its end. */
#include "deploy/host_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_PATIENCE 3000 /* ms between SIGTERM and SIGKILL */
#define STOP_STEP     20   /* ms */

extern char **environ;

void child_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Pipes for descriptors 0 to 2: ours[i] and its[i] are the two ends. */
static bool make_pipes(int ours[3], int its[3])
{
	for (int i = 0; i < 3; i++) {
		int fd[2];

		if (pipe2(fd, O_CLOEXEC) < 0)
			return false;
		ours[i] = fd[i == 0 ? 1 : 0];
		its[i] = fd[i == 0 ? 0 : 1];
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
			return false;
	}
	return true;
}

static int spawn(pid_t *pid, const int its[3], const char *const argv[], bool group)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, changed;
	int error;

	sigemptyset(&none);
	sigemptyset(&changed);
	sigaddset(&changed, SIGPIPE);
	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawnattr_init(&attributes) != 0)
		abort();
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&actions, its[i], i);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &changed);
	posix_spawnattr_setflags(
	    &attributes, (short)(flags | (group ? POSIX_SPAWN_SETPGROUP : 0)));
	error = posix_spawnp(
	    pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

bool child_start(struct child *c, const char *const argv[], bool group)
{
	int ours[3] = { -1, -1, -1 }, its[3] = { -1, -1, -1 };
	int error;

	*c = (struct child){ .group = group, .in = -1, .out = -1, .err = -1 };
	error = make_pipes(ours, its) ? spawn(&c->pid, its, argv, group) : errno;
	for (int i = 0; i < 3; i++)
		child_close(&its[i]);
	c->in = ours[0];
	c->out = ours[1];
	c->err = ours[2];
	if (error != 0) {
		c->pid = 0;
		child_finish(c);
		errno = error;
		return false;
	}
	return true;
}

static void note_end(struct child *c, int status)
{
	c->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	c->pid = 0;
}

bool child_ended(struct child *c)
{
	int status;

	if (c->pid != 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
		note_end(c, status);
	return c->pid == 0;
}

static void close_pipes(struct child *c)
{
	child_close(&c->in);
	child_close(&c->out);
	child_close(&c->err);
}

void child_finish(struct child *c)
{
	int status;

	close_pipes(c);
	while (c->pid != 0) {
		if (waitpid(c->pid, &status, 0) == c->pid)
			note_end(c, status);
		else if (errno != EINTR)
			c->pid = 0;
	}
}

static void child_kill(const struct child *c, int sig)
{
	kill(c->group ? -c->pid : c->pid, sig);
}

void child_stop(struct child *c)
{
	close_pipes(c);
	if (c->pid != 0)
		child_kill(c, SIGTERM);
	for (int waited = 0; waited < STOP_PATIENCE && !child_ended(c);
	     waited += STOP_STEP)
		poll(NULL, 0, STOP_STEP);
	if (c->pid != 0)
		child_kill(c, SIGKILL);
	child_finish(c);
}
