/*
 * The relay as its users have it: an account made by its first login, mail to oneself, clear
 * text that is refused, and a mail that leaves, whose return shows how it was signed.
 */
#ifndef DEPLOY_DOCTOR_MAIL_H
#define DEPLOY_DOCTOR_MAIL_H

#include "chatmaild/config.h"
#include "deploy/doctor.h"
#include "deploy/doctor_doors.h"

#define DOCTOR_ADDRESS_MAX 320

/* Of one run, by chance. */
struct doctor_account {
	char address[DOCTOR_ADDRESS_MAX];
	char password[128];
	char timer
	    [64]; /* a unit on the server, which deletes the account at last, ... */
	char script[80]; /* ... and how */
};

/* False if there is no randomness, or no name that the config allows. */
bool doctor_account_init(struct doctor_account *a, const struct config *config);

/*
 * The script that makes sure that the account is deleted, whatever becomes of us, before it
 * is made; if made, it also makes it, which needs the password on standard input: for relays
 * where nobody else can.
 */
char *doctor_guard_script(const struct doctor_account *a, bool made);

/* The script that deletes the account and its mail now. */
char *doctor_delete_script(const struct doctor_account *a);

/* What is tried, and where. All borrowed. */
struct doctor_mail {
	const struct config *config;
	const struct doctor_account *account;
	const struct doors *doors;
	const char *dkim_record; /* as the DNS has it; NULL: not known */
	bool signs;              /* it should */
};

/* Try it all, one after the other, each with its own time; at most a minute's half. */
void doctor_try_mail(struct doctor *d, const struct doctor_mail *m);

#endif
