/*
 * The tests of a deployed relay: each a row of a table, tried from outside as users do, with
 * guests (trial.h); and some that ask the server.
 */
#ifndef DEPLOY_ONLINE_H
#define DEPLOY_ONLINE_H

#include "deploy/trial.h"

struct online {
	struct trial *trial;
	const struct config *config;
	struct span
	    version; /* /etc/chatmail-version as it would be deployed from here */
	bool verbose;
	struct host *host;         /* the server, once a test has asked it */
	char why[TRIAL_ERROR_MAX]; /* of a test that failed or was skipped */
};

enum online_result { ONLINE_PASSED, ONLINE_FAILED, ONLINE_SKIPPED };

struct online_test {
	const char *name;  /* "imap_creates" */
	const char *title; /* what is so if it passes */
	enum online_result (*run)(struct online *o);
	bool second; /* takes two relays */
};

/* The tables end with a row without name. */
extern const struct online_test online_login_tests[];
extern const struct online_test online_mail_tests[];
extern const struct online_test online_server_tests[];

/* Why a test failed, or was skipped: returned by it. */
__attribute__((format(printf, 2, 3))) enum online_result online_fail(
    struct online *o, const char *format, ...);
__attribute__((format(printf, 2, 3))) enum online_result online_skip(
    struct online *o, const char *format, ...);

/* Run a script on the server of the first relay; what it says on stdout is added to out.
 * False with the reason in o->why. */
bool online_ask(struct online *o, const char *script, struct text *out);

/* Log in and open INBOX. False with the reason; talk->dial is to be closed in both cases. */
bool online_inbox(struct online *o, size_t relay, const struct trial_guest *guest,
    struct imap_talk *talk);

/* Wait for the next message in an open INBOX and read it. False with the reason. */
bool online_receive(struct online *o, struct imap_talk *talk, struct text *message);

#endif
