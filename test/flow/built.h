/*
 * The built daemon below a temporary folder: its configuration, its life as a supervisor
 * sees it, and blocking conversations with its sockets. The folder holds, by these names:
 *
 *	chatmail.ini  mail/  state/  passdb.sqlite  notify.sock
 *	auth.sock  lastlogin.sock  metadata.sock  http.sock  admin.sock
 *	outgoing.sock  incoming.sock  the filters
 *	postfix.sock                  where both hand mail back, if a test listens
 *
 * The program is named by the environment variable CHATMAILD. Every wait has a deadline
 * that no test meets that passes; every helper fails the running test when its daemon
 * or the machine does not play along, so callers check nothing.
 */
#ifndef TEST_FLOW_BUILT_H
#define TEST_FLOW_BUILT_H

#include <sys/resource.h>
#include <sys/types.h>

#include "test/support.h"

#define BUILT_DOMAIN        "chat.example"
#define BUILT_INHERITED_MAX 2
#define BUILT_DEADLINE_MS   20000 /* never waited for by a test that passes */

struct built {
	char *dir;
	int notify; /* where the daemon's sd_notify messages arrive */
	int pidfd;  /* of the daemon; -1 while none runs, as pid */
	pid_t pid;
};

/* How a start differs from a plain one. */
struct built_start {
	const int *inherited;    /* listening sockets, BUILT_INHERITED_MAX, or NULL */
	const char *watchdog_us; /* WATCHDOG_USEC, or NULL */
	rlim_t descriptors;      /* 0: as they are */
	const char *option;      /* one more argument, or NULL */
};

/* Make the folder and a plain configuration; the daemon makes the rest. */
void built_init(struct built *b);

/* Remove the folder. The daemon has ended. */
void built_deinit(struct built *b);

/* The path of a name below the folder, in malloc()ed memory. */
char *built_path(const struct built *b, const char *name);

bool built_has(const struct built *b, const char *name);

/* Write the configuration anew, with these lines at its end. */
void built_configure(const struct built *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Make the mailbox folder of an address, with a password nobody knows. */
void built_add_account(const struct built *b, const char *address);

/* Start a program that is killed when the test ends, its stdout in a file of the folder. */
pid_t built_run(const struct built *b, char *const *argv, const char *output);

/* Start the daemon; it is ready when this returns. */
void built_start(struct built *b);

/* Start the daemon in a way of its own, and wait for nothing. */
void built_launch(struct built *b, const struct built_start *how);

/* Wait for the next notification that is more than a new status or the wish for more
 * time; it must hold text. */
void built_expect(const struct built *b, const char *text);

/* SIGHUP, and what belongs to it: RELOADING=1 with the time, then READY=1. */
void built_reload(const struct built *b);

/* Wait for the end. Returns the exit code, or minus the signal. */
int built_wait(struct built *b);

/* SIGTERM, and the end that belongs to it: STOPPING=1, then exit code 0. */
void built_stop(struct built *b);

/* SIGKILL, wherever the daemon is. It may be dead of one already. */
void built_kill(struct built *b);

/* A listening socket of this name, as a supervisor would make it. */
int built_listen(const struct built *b, const char *name);

/* A connection to a socket of the folder; -1 if nobody listens. */
int built_try_connect(const struct built *b, const char *name);
int built_connect(const struct built *b, const char *name);

/* The same, and send text. */
int built_send(const struct built *b, const char *name, const char *text);

/*
 * Read until text has come, to the end of the connection if it is NULL, or to what fits.
 * got is a string after that: the part that came if the connection ended early.
 */
void built_read(int fd, const char *text, char *got, size_t size);

/* What /metrics answers, head and body, to a client that accepts this media type. */
struct built_page {
	char text[65536];
};
void built_scrape(const struct built *b, const char *accept, struct built_page *page);

/* The value of a metric, by its name and labels; it must be there. */
unsigned long built_metric(const struct built *b, const char *name);

#endif
