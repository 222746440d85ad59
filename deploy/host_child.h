/*
 * A program that was started with pipes on its standard input, output and error.
 */
#ifndef DEPLOY_HOST_CHILD_H
#define DEPLOY_HOST_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid;        /* 0: none, or its end was seen */
	bool group;       /* it leads a process group of its own */
	int in, out, err; /* our ends, non-blocking; -1: closed */
	int status;       /* once it ended: exit code, 128 + n after signal n */
};

/*
 * Start argv, found by $PATH, with the signals as a program expects them. group: in a
 * process group of its own, so that Ctrl-C on the terminal does not reach it and
 * child_stop() reaches all that it started. False with errno; c is then as after
 * child_stop().
 */
bool child_start(struct child *c, const char *const argv[], bool group);

/* Has it ended? Does not wait. */
bool child_ended(struct child *c);

/* Close our end of one of its pipes, if it is open. */
void child_close(int *fd);

/* Close all pipes and wait for its end. */
void child_finish(struct child *c);

/* The same, but end it: SIGTERM, and SIGKILL when it does not hear. */
void child_stop(struct child *c);

#endif
