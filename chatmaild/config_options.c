/*
 * The option table: everything chatmail.ini can say. A new option is one row here, one
 * field in struct config and one line in docs/config.md.
 */
#include <limits.h>
#include <stddef.h>

#include "chatmaild/config.h"
#include "chatmaild/config_loader.h"
#include "chatmaild/config_value.h"

#define FIELD(name) offsetof(struct config, name)

/* Old port keys stand before the keys they set: those then see that they are set. */
static const struct config_option options[] = {
	{ "mail_domain", CONFIG_TEXT, NULL, 0, 0, FIELD(mail_domain),
	    "The domain of all addresses, or the IPv4 address of a relay without a "
	    "name.",
	    config_check_domain },

	{ "max_user_send_per_minute", CONFIG_INTEGER, "60", 1, INT_MAX,
	    FIELD(max_user_send_per_minute), "Mails one sender may send in a minute.",
	    NULL },
	{ "max_user_send_burst_size", CONFIG_INTEGER, "10", 1, INT_MAX,
	    FIELD(max_user_send_burst_size),
	    "Mails one sender may send at once before the rate counts.", NULL },
	{ "max_message_size", CONFIG_BYTES, "31457280", 1, INT_MAX,
	    FIELD(max_message_size), "Bytes of the largest message.", NULL },
	{ "passthrough_senders", CONFIG_LIST, NULL, 0, 0, FIELD(passthrough_senders),
	    "Addresses that may send cleartext.", NULL },
	{ "passthrough_recipients", CONFIG_LIST, NULL, 0, 0,
	    FIELD(passthrough_recipients),
	    "Addresses, or @domain for all of a domain, that cleartext may be sent to.",
	    NULL },

	{ "max_mailbox_size", CONFIG_SIZE, "500M", 1, INT_MAX, FIELD(max_mailbox_size),
	    "Quota of a mailbox.", NULL },
	{ "delete_mails_after", CONFIG_INTEGER, "20", 1, INT_MAX,
	    FIELD(delete_mails_after), "Days until a mail is deleted.", NULL },
	{ "delete_large_after", CONFIG_INTEGER, "7", 1, INT_MAX,
	    FIELD(delete_large_after),
	    "Days until a mail of more than 200000 bytes is deleted.", NULL },
	{ "delete_inactive_users_after", CONFIG_INTEGER, "90", 1, INT_MAX,
	    FIELD(delete_inactive_users_after),
	    "Days after the last login until an account is deleted.", NULL },

	{ "expiry_time", CONFIG_TEXT, "00:02", 0, 0, FIELD(expiry_time),
	    "When old mail and unused accounts are deleted each day, local time.",
	    config_check_time },

	{ "registration", CONFIG_TEXT, "open", 0, 0, FIELD(registration),
	    "Who gets an account: everybody (open), or who has an invite (invite).",
	    config_check_registration },
	{ "username_min_length", CONFIG_INTEGER, "9", 1, 64, FIELD(username_min_length),
	    "Shortest part before the @ of a new address.", NULL },
	{ "username_max_length", CONFIG_INTEGER, "9", 1, 64, FIELD(username_max_length),
	    "Longest part before the @ of a new address.", NULL },
	{ "password_min_length", CONFIG_INTEGER, "9", 1, 512,
	    FIELD(password_min_length),
	    "Characters of the shortest password of a new account.", NULL },
	{ "max_load_1m", CONFIG_DECIMAL, "5", 0, 0, FIELD(max_load_1m),
	    "Load average of the last minute above which no account is created.",
	    NULL },
	{ "min_available_memory", CONFIG_SIZE, "200M", 1, INT_MAX,
	    FIELD(min_available_memory),
	    "Available memory below which no account is created.", NULL },
	{ "min_free_disk_space", CONFIG_SIZE, "1G", 1, INT_MAX,
	    FIELD(min_free_disk_space),
	    "Free space for mailboxes below which no account is created.", NULL },
	{ "max_new_accounts_per_minute", CONFIG_INTEGER, "0", 0, INT_MAX,
	    FIELD(max_new_accounts_per_minute),
	    "Accounts created in a minute on the whole relay; 0: any number.", NULL },
	{ "max_new_accounts_per_network", CONFIG_INTEGER, "0", 0, INT_MAX,
	    FIELD(max_new_accounts_per_network),
	    "Accounts created in an hour from one network, a /24 or a /64; 0: any "
	    "number.",
	    NULL },

	{ "mailboxes_dir", CONFIG_FILE, NULL, 0, 0, FIELD(mailboxes_dir),
	    "Where the mailboxes are.", config_check_path },
	{ "passdb_path", CONFIG_FILE, "/home/vmail/passdb.sqlite", 0, 0,
	    FIELD(passdb_path), "Password database of an old relay, read once.",
	    config_check_path },
	{ "state_dir", CONFIG_FILE, "/var/lib/chatmaild", 0, 0, FIELD(state_dir),
	    "Where the daemon keeps what it must remember.", config_check_path },
	{ "mail_user", CONFIG_TEXT, "vmail", 0, 0, FIELD(mail_user),
	    "User and group that own the mailboxes, as told to Dovecot.",
	    config_check_user },
	{ "www_folder", CONFIG_TEXT, "", 0, 0, FIELD(www_folder),
	    "Folder with web pages of your own; empty for the pages that come along, a "
	    "name that is no folder for none.",
	    NULL },
	{ "turn_socket_path", CONFIG_FILE, "/run/chatmail-turn/turn.socket", 0, 0,
	    FIELD(turn_socket_path), "Socket of the TURN helper.", config_check_path },

	{ "auth_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/auth.sock", 0, 0,
	    FIELD(auth_socket), "Where Dovecot asks for accounts.", NULL },
	{ "metadata_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/metadata.sock", 0, 0,
	    FIELD(metadata_socket), "Where Dovecot asks for IMAP METADATA.", NULL },
	{ "lastlogin_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/lastlogin.sock", 0,
	    0, FIELD(lastlogin_socket), "Where Dovecot tells of logins.", NULL },
	{ "http_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/http.sock", 0, 0,
	    FIELD(http_socket), "Where the web server finds metrics and new accounts.",
	    NULL },
	{ "admin_socket", CONFIG_ENDPOINT, "unix:/run/chatmaild/admin.sock", 0, 0,
	    FIELD(admin_socket), "Where the operator's tool reaches the daemon.",
	    NULL },
	{ "filtermail_smtp_port", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(filter_outgoing_socket),
	    "Old form of filter_outgoing_socket: a port of 127.0.0.1.", NULL },
	{ "filter_outgoing_socket", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/chatmaild/outgoing.sock", 0, 0,
	    FIELD(filter_outgoing_socket),
	    "Where Postfix hands over mail of our users.", NULL },
	{ "filtermail_smtp_port_incoming", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(filter_incoming_socket),
	    "Old form of filter_incoming_socket: a port of 127.0.0.1.", NULL },
	{ "filter_incoming_socket", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/chatmaild/incoming.sock", 0, 0,
	    FIELD(filter_incoming_socket),
	    "Where Postfix hands over mail from other servers.", NULL },
	{ "postfix_reinject_port", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(reinject_outgoing),
	    "Old form of reinject_outgoing: a port of 127.0.0.1.", NULL },
	{ "reinject_outgoing", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/public/reinject-out", 0, 0,
	    FIELD(reinject_outgoing), "Where Postfix takes back mail of our users.",
	    NULL },
	{ "postfix_reinject_port_incoming", CONFIG_PORT, NULL, 1, 65535,
	    FIELD(reinject_incoming),
	    "Old form of reinject_incoming: a port of 127.0.0.1.", NULL },
	{ "reinject_incoming", CONFIG_ENDPOINT,
	    "unix:/var/spool/postfix/public/reinject-in", 0, 0,
	    FIELD(reinject_incoming),
	    "Where Postfix takes back mail from other servers.", NULL },
	{ "metrics_address", CONFIG_ENDPOINT, NULL, 0, 0, FIELD(metrics_address),
	    "A second place that serves the metrics, for a monitoring server.", NULL },

	{ "push_url", CONFIG_TEXT, "https://notifications.delta.chat/notify", 0, 0,
	    FIELD(push_url), "The push service.", config_check_https },
	{ "push_ca_file", CONFIG_FILE, NULL, 0, 0, FIELD(push_ca_file),
	    "Certificates to trust for the push service instead of the system's.",
	    config_check_path },
	{ "push_max_streams", CONFIG_INTEGER, "100", 1, 1000, FIELD(push_max_streams),
	    "Notifications on their way to the push service at once.", NULL },
	{ "iroh_relay", CONFIG_TEXT, NULL, 0, 0, FIELD(iroh_relay),
	    "URL of the iroh relay; absent: our own, empty: none of ours.", NULL },
	{ "turn_secret", CONFIG_TEXT, "", 0, 0, FIELD(turn_secret),
	    "Secret shared with the TURN server.", NULL },
	{ "appversions_file", CONFIG_FILE, NULL, 0, 0, FIELD(appversions_file),
	    "Latest versions of the apps, as told to clients, instead of the list that "
	    "comes along.",
	    config_check_path },
	{ "public_metrics", CONFIG_BOOLEAN, "true", 0, 0, FIELD(public_metrics),
	    "Show the number of accounts to everybody, at https://DOMAIN/metrics.",
	    NULL },
	{ "echobot", CONFIG_BOOLEAN, "true", 0, 0, FIELD(echobot),
	    "Run an account that answers what it is told.", NULL },
	{ "echobot_socket", CONFIG_ENDPOINT, "unix:/run/chatmail-echobot/rpc.sock", 0,
	    0, FIELD(echobot_socket), "Where the echo bot's client is started.", NULL },
	{ "echobot_imap", CONFIG_ENDPOINT, "inet:127.0.0.1:993", 0, 0,
	    FIELD(echobot_imap),
	    "Where the echo bot's client gets its mail, by TLS with any certificate.",
	    NULL },
	{ "echobot_smtp", CONFIG_ENDPOINT, "inet:127.0.0.1:465", 0, 0,
	    FIELD(echobot_smtp), "Where it sends its mail, likewise.", NULL },

	{ "disable_ipv6", CONFIG_BOOLEAN, "false", 0, 0, FIELD(disable_ipv6),
	    "Listen and send with IPv4 only.", NULL },
	{ "imap_rawlog", CONFIG_BOOLEAN, "false", 0, 0, FIELD(imap_rawlog),
	    "Record IMAP sessions in the mailboxes; for debugging only.", NULL },
	{ "imap_compress", CONFIG_BOOLEAN, "false", 0, 0, FIELD(imap_compress),
	    "Offer IMAP COMPRESS; turns hibernation off.", NULL },
	{ "acme_email", CONFIG_TEXT, "", 0, 0, FIELD(acme_email),
	    "Contact address for the certificate authority.", NULL },
	{ "mtail_address", CONFIG_TEXT, "", 0, 0, FIELD(mtail_address),
	    "Address mtail serves its metrics on; empty: no mtail.", NULL },
	{ "privacy_postal", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_postal),
	    "Postal address of who is responsible, for the privacy page.", NULL },
	{ "privacy_mail", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_mail),
	    "Mail address of who is responsible.", NULL },
	{ "privacy_pdo", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_pdo),
	    "Contact of the data protection officer.", NULL },
	{ "privacy_supervisor", CONFIG_TEXTS, "", 0, 0, FIELD(privacy_supervisor),
	    "Contact of the supervising authority.", NULL },
	{ "max_imap_connections", CONFIG_INTEGER, "10000", 1, INT_MAX,
	    FIELD(max_imap_connections), "IMAP sessions at once.", NULL },
	{ "max_smtp_connections", CONFIG_INTEGER, "1000", 1, INT_MAX,
	    FIELD(max_smtp_connections),
	    "Sessions of each submission port at once; a fifth of them for one "
	    "address.",
	    NULL },
	{ "tls_external_cert_and_key", CONFIG_LIST, NULL, 0, 0,
	    FIELD(tls_external_cert_and_key),
	    "Certificate chain and key that somebody else renews: two paths.",
	    config_check_cert_and_key },

	{ "user_cache_size", CONFIG_SIZE, "256M", 1, INT_MAX, FIELD(user_cache_size),
	    "Memory for known accounts.", NULL },

	{ "filtermail_http_port", CONFIG_UNUSED, NULL, 0, 0, 0, "Of an older relay.",
	    NULL },
	{ "filtermail_http_port_incoming", CONFIG_UNUSED, NULL, 0, 0, 0,
	    "Of an older relay.", NULL },
	{ "filtermail_lmtp_port_transport", CONFIG_UNUSED, NULL, 0, 0, 0,
	    "Of an older relay.", NULL },
};

const struct config_option *config_options(size_t *n)
{
	*n = sizeof(options) / sizeof(options[0]);
	return options;
}

const struct config_option *config_find_option(struct span key)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (span_is(key, options[i].key))
			return &options[i];
	}
	return NULL;
}

const char *config_type_name(enum config_type type)
{
	switch (type) {
	case CONFIG_TEXT:
		return "text";
	case CONFIG_TEXTS:
		return "text, several lines";
	case CONFIG_FILE:
		return "path";
	case CONFIG_LIST:
		return "list";
	case CONFIG_INTEGER:
		return "integer";
	case CONFIG_BYTES:
		return "bytes";
	case CONFIG_SIZE:
		return "size";
	case CONFIG_DECIMAL:
		return "decimal";
	case CONFIG_BOOLEAN:
		return "boolean";
	case CONFIG_ENDPOINT:
		return "socket";
	case CONFIG_PORT:
		return "port";
	case CONFIG_UNUSED:
		break;
	}
	return "not used";
}
