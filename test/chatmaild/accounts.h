/*
 * What accounts need of a daemon, in a temporary folder: loop, config, workers, store,
 * users; and a dict conversation over a socket pair.
 */
#ifndef TEST_CHATMAILD_ACCOUNTS_H
#define TEST_CHATMAILD_ACCOUNTS_H

#include "chatmaild/daemon.h"
#include "chatmaild/users.h"
#include "test/support.h"

#define DOMAIN "chat.example"

struct accounts {
	struct daemon d;
	struct config config; /* fields may be changed between calls */
	char *dir;            /* everything below it goes with the fixture */
	char *mailboxes;
	char *closed_file; /* stands for /etc/chatmail-nocreate; absent at first */
	bool fresh;        /* as store_open() said */
};

/* With defaults: names of 9, passwords from 9 characters, no limits of the machine. */
void accounts_init(struct accounts *a);
void accounts_deinit(struct accounts *a);

/* The daemon ends and starts again over the same files. */
void accounts_stop(struct accounts *a);
void accounts_start(struct accounts *a);

/* Is the rebuild of the users table over? For support_loop(). */
bool accounts_settled(void *arg);

/* mailboxes/ADDRESS/NAME; free() it. */
char *accounts_path(const struct accounts *a, const char *address, const char *name);

/* An account as an operator or the Python services make one. */
void accounts_write(struct accounts *a, const char *address, const char *password_file);

/* Make one through users_make(); the answer, and its hash if found. */
enum users_answer accounts_make(struct accounts *a, const char *address,
    const char *password, char hash[PASSWORD_HASH_MAX]);

/* users_find(), the hash copied. */
enum users_answer accounts_find(
    struct accounts *a, const char *address, char hash[PASSWORD_HASH_MAX]);

/* The first column of the first row, or "" if there is none; free() it. */
char *accounts_sql(struct accounts *a, const char *sql);

/*
 * A dict conversation with a started service: sends request, turns the loop until as many
 * bytes came as want has, or the peer closed, and compares. half_close ends our half
 * after request.
 */
struct talk {
	struct accounts *a;
	int fd;
};
void talk_open(
    struct talk *t, struct accounts *a, const struct service *service, void *state);
void talk_send(struct talk *t, const char *request);
void talk_expect(struct talk *t, const char *want);
void talk_expect_end(struct talk *t); /* the daemon closed, nothing more came */
void talk_half_close(struct talk *t);
void talk_close(struct talk *t);

/* One line that came, LF cut; free() it. */
char *talk_line(struct talk *t);

#endif
