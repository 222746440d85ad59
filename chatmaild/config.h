/*
 * chatmail.ini, typed: every option with its default, range and meaning in one table
 * (config.c). Shared by the daemon and cmdeploy. Immutable once loaded: a reload makes
 * a new one. The ini syntax is proto/ini.h's; types, defaults and validation go through
 * libconfuse. A test checks docs/config.md against the table.
 */
#ifndef CHATMAILD_CONFIG_H
#define CHATMAILD_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "chatmaild/endpoint.h"

#define CONFIG_PATH        "/etc/chatmaild/chatmail.ini"
#define CONFIG_PATH_PYTHON "/usr/local/lib/chatmaild/chatmail.ini"
#define CONFIG_FILE_MAX    (1 << 20) /* bytes; a larger file is refused */

enum iroh_relay {
	IROH_LOCAL,  /* key absent: we run the relay, URL is https://<mail_domain> */
	IROH_NONE,   /* key empty: clients use their own default */
	IROH_REMOTE, /* key set */
};

enum tls_mode {
	TLS_ACME,
	TLS_SELF,
	TLS_EXTERNAL,
};

/* Texts and lists are never NULL: what is not set is empty. */
struct config {
	char *path; /* the file it came from */

	char *mail_domain; /* as addresses are built: "chat.example", "[192.0.2.1]" */
	char *mail_domain_bare; /* without the brackets of an IPv4 relay */
	bool ipv4_relay;

	/* Sending. */
	int max_user_send_per_minute;
	int max_user_send_burst_size;
	int64_t max_message_size; /* bytes */
	char **passthrough_senders,
	    **passthrough_recipients; /* NULL-terminated lists */

	/* Keeping. */
	int64_t max_mailbox_size; /* MiB */
	int delete_mails_after;   /* days, as the two below */
	int delete_large_after;
	int delete_inactive_users_after;
	char *expiry_time; /* "HH:MM" */

	/* New accounts. */
	char *registration; /* "open" or "invite" */
	bool invites;       /* it is the latter */
	int username_min_length, username_max_length;
	int password_min_length;
	double max_load_1m;
	int64_t min_available_memory;     /* MiB */
	int64_t min_free_disk_space;      /* MiB */
	int max_new_accounts_per_minute;  /* 0: any number, as below */
	int max_new_accounts_per_network; /* an hour */

	/* Places. */
	char *mailboxes_dir;
	char *passdb_path;
	char *state_dir;
	char *mail_user; /* uid and gid in dict replies */
	char *www_folder;
	char *turn_socket_path;

	/* Sockets. An unset metrics_address has len 0. */
	struct endpoint auth_socket, metadata_socket, lastlogin_socket, http_socket,
	    admin_socket;
	struct endpoint filter_outgoing_socket, filter_incoming_socket;
	struct endpoint reinject_outgoing, reinject_incoming;
	struct endpoint metrics_address;
	struct endpoint echobot_socket, echobot_imap, echobot_smtp;

	/* Push, calls, helpers. */
	char *push_url, *push_ca_file;
	int push_max_streams;
	enum iroh_relay iroh;
	char *iroh_relay; /* URL, "" when IROH_NONE */
	char *turn_secret;
	char *appversions_file;
	bool public_metrics;
	bool echobot;

	/* Deployment only. */
	bool disable_ipv6, imap_rawlog, imap_compress;
	char *acme_email, *mtail_address;
	char *privacy_postal, *privacy_mail, *privacy_pdo, *privacy_supervisor;
	int max_imap_connections, max_smtp_connections;
	enum tls_mode tls_mode;
	char **tls_external_cert_and_key; /* empty, or the two paths below */
	char *tls_cert_path, *tls_key_path;

	/* Limits of the daemon itself. */
	int64_t user_cache_size; /* MiB of memory for known users */

	char *unknown_keys; /* blank-separated, in file order; "" if none */
};

/*
 * Read and check path. On success a new config (config_free() it); warnings, one line
 * each, were written to err. On failure NULL, and err got "PATH:LINE: key: what is
 * wrong; what to write instead" lines: all mistakes at once, not only the first. One
 * thread at a time: libconfuse keeps its scanner in globals.
 */
struct config *config_load(const char *path, FILE *err);

/* The same for the text of a file, len bytes followed by a NUL; text is changed in
 * place. */
struct config *config_parse(const char *path, char *text, size_t len, FILE *err);

/* Accepts NULL. */
void config_free(struct config *c);

/* The file to read without -c: the first that exists, else CONFIG_PATH. */
const char *config_default_path(void);

/* How a value is written in the file, and so the C type of its field. */
enum config_type {
	CONFIG_TEXT,     /* char *, one line */
	CONFIG_TEXTS,    /* char *, lines parted by LF */
	CONFIG_FILE,     /* char *, absolute */
	CONFIG_LIST,     /* char **, NULL-terminated */
	CONFIG_INTEGER,  /* int */
	CONFIG_BYTES,    /* int64_t, a plain number */
	CONFIG_SIZE,     /* int64_t, MiB */
	CONFIG_DECIMAL,  /* double */
	CONFIG_BOOLEAN,  /* bool */
	CONFIG_ENDPOINT, /* struct endpoint */
	CONFIG_PORT,     /* an old key: the endpoint inet:127.0.0.1:PORT */
	CONFIG_UNUSED,   /* an old key without effect: no field */
};

/* One row of the option table; also for docs, samples and templates. */
struct config_option {
	const char *key;
	enum config_type type;
	/* The default as one would write it; NULL if required, unset or derived. */
	const char *fallback;
	int64_t min, max; /* of a number */
	size_t field;     /* offset in struct config; of no meaning to CONFIG_UNUSED */
	const char *help; /* one sentence */

	/* A closer look at a text: NULL, or what is wrong and what to write instead. */
	const char *(*check)(const char *value);
};
const struct config_option *config_options(size_t *n);

/* "integer", "text", "list", ... as the documentation calls it. */
const char *config_type_name(enum config_type type);

#endif
