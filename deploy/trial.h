/*
 * Trying a relay, or two, from outside as its users do: addresses of guests, ways to its
 * ports, and the end, at which every guest is deleted again, whatever went wrong and also
 * after Ctrl-C.
 */
#ifndef DEPLOY_TRIAL_H
#define DEPLOY_TRIAL_H

#include "chatmaild/config.h"
#include "deploy/command.h"
#include "deploy/dial.h"
#include "deploy/host.h"
#include "deploy/imap_talk.h"
#include "deploy/smtp_talk.h"

#define TRIAL_RELAYS        2
#define TRIAL_ERROR_MAX     1024
#define TRIAL_TIMEOUT_MS    60000 /* of a dialogue with a server */
#define TRIAL_ADDRESS_SIZE  322   /* of an address, its NUL included */
#define TRIAL_PASSWORD_SIZE 129
#define TRIAL_HELO          "trial.example"

struct trial_relay {
	const char *domain;   /* as in addresses: "chat.example", "[192.0.2.1]" */
	char *host;           /* where its ports are: without brackets */
	const char *ssh_host; /* of its server */
	bool any_certificate; /* self-signed: of a name with "_", or an address */
	unsigned name_length, password_length; /* of guests */
};

struct trial_options {
	const char *ssh_host;  /* $CHATMAIL_SSH, else the relay's name */
	const char *domain2;   /* $CHATMAIL_DOMAIN2, else there is one relay */
	const char *ssh_host2; /* $CHATMAIL_SSH2, else domain2 */
};

/* Rows of these for the options of a command. */
#define TRIAL_OPTIONS(o)                                                               \
	{ "ssh-host", "HOST",                                                          \
		"the server by ssh (default: $CHATMAIL_SSH, else mail_domain; "        \
		"localhost: without ssh)",                                             \
		NULL, &(o)->ssh_host },                                                \
	    { "domain2", "DOMAIN",                                                     \
		    "a second relay of yours (default: $CHATMAIL_DOMAIN2)", NULL,      \
		    &(o)->domain2 },                                                   \
	{                                                                              \
		"ssh-host2", "HOST",                                                   \
		    "its server by ssh (default: $CHATMAIL_SSH2, else its domain)",    \
		    NULL, &(o)->ssh_host2                                              \
	}

struct trial_guest {
	char address[TRIAL_ADDRESS_SIZE], password[TRIAL_PASSWORD_SIZE];
};

struct trial;

/*
 * Begin with the relay of config, and a second one if the options name it. Asks both servers
 * whether guests may come and can be deleted there; NULL with an explanation on stderr if not. From then on
 * SIGINT, SIGTERM and SIGHUP are noted, as by host_open(). Borrows config and options.
 */
struct trial *trial_begin(
    const struct config *config, const struct trial_options *options, bool verbose);

/*
 * Delete the guests, on every relay. Returns status; or, if any could not be deleted, 
 * COMMAND_FAILED, and then stderr tells which. A signal that came is raised in the end.
 */
int trial_end(struct trial *t, int status);

/* Has a signal come? */
bool trial_interrupted(const struct trial *t);

size_t trial_relays(const struct trial *t);
const struct trial_relay *trial_relay(const struct trial *t, size_t relay);

/* A random address and password that nobody has yet, noted for trial_end(). */
void trial_invent(struct trial *t, size_t relay, struct trial_guest *guest);

/* Note an address that the relay itself gave. */
void trial_note(struct trial *t, size_t relay, const char *address);

/* A new account of the web server: POST /new. False with the reason. */
bool trial_take_account(struct trial *t, size_t relay, struct trial_guest *guest,
    char error[TRIAL_ERROR_MAX]);

/* len random letters and digits and a NUL. */
void trial_random(char *text, size_t len);

/* A connection to a port of the relay; as dial_open(). */
struct dial *trial_dial(
    const struct trial *t, size_t relay, uint16_t port, enum dial_tls tls);

/*
 * The same, and log in at the port for IMAP (993) or submission (465). False with the reason;
 * talk->dial is to be closed in both cases.
 */
bool trial_imap(const struct trial *t, size_t relay, const struct trial_guest *guest,
    struct imap_talk *talk, char error[TRIAL_ERROR_MAX]);
bool trial_smtp(const struct trial *t, size_t relay, const struct trial_guest *guest,
    struct smtp_talk *talk, char error[TRIAL_ERROR_MAX]);

/* Log in by one of the two, and go. False with the reason. */
enum trial_door { TRIAL_IMAP, TRIAL_SMTP };
bool trial_login(const struct trial *t, size_t relay, enum trial_door door,
    const struct trial_guest *guest, char error[TRIAL_ERROR_MAX]);

/*
 * What runs on the server. The first succeeds if guests may come and can be deleted; the second
 * deletes the addresses of its standard input, one a line, those that were never used too.
 */
extern const char trial_ask_script[], trial_remove_script[];

#endif
