/*
 * chatmailctl, the operator's hand on the server, and the commands of older relays that
 * are it under other names. Not part of the daemon: it may block, it prints, it exits.
 */
#ifndef CHATMAILD_CTL_H
#define CHATMAILD_CTL_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "chatmaild/config.h"

/* What the program exits with. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1, /* the reason was told on stderr */
	CTL_USAGE = 2,  /* it was called wrongly */
};

struct ctl {
	const char *config_path; /* NULL: the usual places */
	bool json, yes, dry_run, password_stdin;
	int64_t days, count; /* negative: not given */
	char **arg;          /* what follows the command's name */
	int nargs;
	struct config *config; /* of ctl_config() */
};

/* The config, read at the first call. Without one the program ends here. */
const struct config *ctl_config(struct ctl *c);

/* --- ctl_link.c: the daemon ---------------------------------------------------------- */

/* A line before the last one; borrowed. */
typedef void ctl_line(void *arg, const json_t *line);

/*
 * Ask the daemon: request (taken) goes over the admin socket, line is called for each but
 * the last line of the answer; NULL if there are to be none. *reply gets the last one, the
 * caller's. CTL_OK, or CTL_FAILED with the reason told: the daemon does not run, it
 * refused.
 */
enum ctl_exit ctl_ask(
    struct ctl *c, json_t *request, ctl_line *line, void *arg, json_t **reply);

/* The same over a connection that stays. */
struct ctl_link;
struct ctl_link *ctl_link_open(struct ctl *c, bool tell); /* NULL: no daemon */
void ctl_link_close(struct ctl_link *link);               /* accepts NULL */

/* For who draws meanwhile: trouble is not told, no answer is waited for long. */
void ctl_link_hush(struct ctl_link *link);
enum ctl_exit ctl_link_ask(
    struct ctl_link *link, json_t *request, ctl_line *line, void *arg, json_t **reply);

/* --- ctl_print.c: the terminal ------------------------------------------------------- */

void ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For text of others: control bytes are shown as '?'. */
void ctl_put(FILE *out, const char *text);

/* One line of JSON. */
void ctl_put_json(const json_t *value);

/* "1.5 MiB"; "2026-11-23", "never" for 0; "3 days". Valid until the next call. */
#define CTL_WORDS_MAX 32
const char *ctl_size(char buf[CTL_WORDS_MAX], uint64_t bytes);
const char *ctl_day(char buf[CTL_WORDS_MAX], int64_t seconds);
const char *ctl_span(char buf[CTL_WORDS_MAX], int64_t seconds);

/* Members of an object; 0 and "" if they are not there. */
int64_t ctl_number(const json_t *object, const char *name);
const char *ctl_text(const json_t *object, const char *name);

/*
 * Ask on the terminal before what cannot be undone. True if the answer is yes, or --yes was
 * given; without a terminal to ask on that is needed, which is told.
 */
bool ctl_confirm(const struct ctl *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* --- the commands -------------------------------------------------------------------- */

typedef enum ctl_exit ctl_run(struct ctl *c);

/* ctl_daemon.c */
ctl_run ctl_status, ctl_reload, ctl_invite, ctl_push_status, ctl_push_flush;
ctl_run ctl_registration_status, ctl_registration_open, ctl_registration_closed;

/* ctl_users.c */
ctl_run ctl_users_list, ctl_users_show, ctl_users_create;
ctl_run ctl_users_block, ctl_users_unblock, ctl_users_delete;

ctl_run ctl_expire, ctl_trim; /* ctl_expire.c */
ctl_run ctl_hand_back;        /* ctl_hand_back.c */
ctl_run ctl_queue;            /* ctl_queue.c */
ctl_run ctl_report;           /* ctl_report.c */
ctl_run ctl_top;              /* ctl_top.c */

#endif
