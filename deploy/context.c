#include "deploy/context.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>

#include "deploy/context_check.h"
#include "deploy/template.h"
#include "deploy/text.h"

/* In this order, so that a default can build on the rows above. */
static const struct host_variable variables[] = {
	{ "queue_directory", "/var/spool/postfix", "Postfix's queue directory" },
	{ "postfix_config_directory", "/etc/postfix",
	    "where main.cf and master.cf lie" },
	{ "postfix_data_directory", "/var/lib/postfix", "Postfix's caches" },
	{ "postfix_hostname",
	    "{{#ipv4_relay}}{{in_addr_arpa}}{{/ipv4_relay}}"
	    "{{^ipv4_relay}}{{mail_domain}}{{/ipv4_relay}}",
	    "the name Postfix greets with; an IP address is not allowed there" },
	{ "listen_postfix", "all",
	    "addresses Postfix listens on, as in inet_interfaces" },
	{ "smtp_port", "smtp", "where mail from other servers arrives" },
	{ "submission_port", "submission", "where clients send mail, STARTTLS" },
	{ "submissions_port", "submissions", "where clients send mail, TLS" },
	{ "default_transport", "smtp", "how Postfix delivers to other servers" },
	{ "maillog_file", "", "Postfix's log file; empty: syslog" },
	{ "dovecot_config_directory", "/etc/dovecot", "where dovecot.conf lies" },
	{ "dovecot_base_dir", "/run/dovecot", "Dovecot's sockets" },
	{ "dovecot_state_dir", "/var/lib/dovecot", "Dovecot's state" },
	{ "dovecot_log", "", "Dovecot's log file; empty: syslog" },
	{ "chatmailctl_command", "/usr/bin/chatmailctl",
	    "how Dovecot asks for a mailbox to be trimmed" },
	{ "listen_dovecot",
	    "{{#disable_ipv6}}0.0.0.0{{/disable_ipv6}}{{^disable_ipv6}}*, "
	    "::{{/disable_ipv6}}",
	    "addresses Dovecot listens on" },
	{ "imap_port", "143", "where clients read mail, STARTTLS" },
	{ "imaps_port", "993", "where clients read mail, TLS" },
	{ "imap_login_processes", "10", "login processes kept; at least one a core" },
	{ "opendkim_config_directory", "/etc/opendkim",
	    "where sign.conf and verify.conf lie" },
	{ "dkim_selector", "opendkim", "of the key in the DNS" },
	{ "dkim_key_file", "/etc/dkimkeys/opendkim.private", "OpenDKIM's private key" },
	{ "dns_server", "127.0.0.1",
	    "resolver that OpenDKIM asks; ADDRESS or ADDRESS@PORT" },
	{ "https_listen", "443", "where nginx listens for all that comes by TLS" },
	{ "https_listen_ipv6", "{{^disable_ipv6}}[::]:443{{/disable_ipv6}}",
	    "the same for IPv6; empty: not at all" },
	{ "http_listen", "80", "where nginx leads browsers to HTTPS" },
	{ "http_listen_ipv6", "{{^disable_ipv6}}[::]:80{{/disable_ipv6}}",
	    "the same for IPv6; empty: not at all" },
	{ "https_door", "127.0.0.1:8443", "nginx's own door to the web pages" },
	{ "imap_door", "127.0.0.1:8993", "nginx's own door to imap_server" },
	{ "smtp_door", "127.0.0.1:8465", "nginx's own door to smtp_server" },
	{ "imap_server", "127.0.0.1:993", "Dovecot's imaps_port, for nginx" },
	{ "smtp_server", "127.0.0.1:465", "Postfix's submissions_port, for nginx" },
	{ "nginx_pid_file", "/run/nginx.pid", "where nginx writes its process id" },
	{ "nginx_error_log", "syslog:server=unix:/dev/log,facility=local3",
	    "nginx's log of errors" },
	{ "nginx_access_log", "syslog:server=unix:/dev/log,facility=local7",
	    "nginx's log of requests, which names no client" },
	{ "web_root", "/var/www/html", "where the web pages lie" },
	{ "acme_directory", "https://acme-v02.api.letsencrypt.org/directory",
	    "certificate authority that acmetool asks, in ACME mode" },
};

struct builder {
	const struct config *config;
	json_t *context;
	char *error;
};

__attribute__((format(printf, 2, 3))) static bool fail(
    struct builder *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->error, CONTEXT_ERROR_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* Takes value. A value that cannot be made is a machine without memory, for we only
 * pass text that was checked to be UTF-8. */
static void put(struct builder *b, const char *name, json_t *value)
{
	if (json_object_set_new(b->context, name, value) < 0)
		abort();
}

__attribute__((format(printf, 3, 4))) static void put_text(
    struct builder *b, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(b, name, json_vsprintf(fmt, ap));
	va_end(ap);
}

static json_t *list_value(char *const *list)
{
	json_t *array = json_array();

	for (; *list; list++) {
		if (json_array_append_new(array, json_string(*list)) < 0)
			abort();
	}
	return array;
}

static void put_option(struct builder *b, const struct config_option *o)
{
	const void *field = (const char *)b->config + o->field;

	switch (o->type) {
	case CONFIG_TEXT:
	case CONFIG_TEXTS:
	case CONFIG_FILE:
		put(b, o->key, json_string(*(char *const *)field));
		break;
	case CONFIG_LIST:
		put(b, o->key, list_value(*(char **const *)field));
		break;
	case CONFIG_INTEGER:
		put(b, o->key, json_integer(*(const int *)field));
		break;
	case CONFIG_BYTES:
	case CONFIG_SIZE:
		put(b, o->key, json_integer(*(const int64_t *)field));
		break;
	case CONFIG_DECIMAL:
		put(b, o->key, json_real(*(const double *)field));
		break;
	case CONFIG_BOOLEAN:
		put(b, o->key, json_boolean(*(const bool *)field));
		break;
	case CONFIG_ENDPOINT:
		put(b, o->key, json_string(((const struct endpoint *)field)->text));
		break;
	case CONFIG_PORT:
	case CONFIG_UNUSED:
		break;
	}
}

/* "4.3.2.1.in-addr.arpa" for 1.2.3.4: a host name for a relay that has none. */
static void put_in_addr_arpa(struct builder *b)
{
	struct in_addr addr;
	uint32_t ip;

	if (inet_pton(AF_INET, b->config->mail_domain_bare, &addr) != 1) {
		put(b, "in_addr_arpa", json_string(""));
		return;
	}
	ip = ntohl(addr.s_addr);
	put_text(b, "in_addr_arpa", "%u.%u.%u.%u.in-addr.arpa", ip & 0xff,
	    ip >> 8 & 0xff, ip >> 16 & 0xff, ip >> 24);
}

static void put_config(struct builder *b)
{
	const struct config *c = b->config;
	const struct config_option *options;
	char *contact = context_contact(c->privacy_mail);
	size_t n;

	options = config_options(&n);
	for (size_t i = 0; i < n; i++)
		put_option(b, &options[i]);
	put(b, "contact", json_string(contact));
	free(contact);
	put(b, "mail_domain_bare", json_string(c->mail_domain_bare));
	put(b, "ipv4_relay", json_boolean(c->ipv4_relay));
	put_in_addr_arpa(b);
	put(b, "tls_acme", json_boolean(c->tls_mode == TLS_ACME));
	put(b, "tls_self", json_boolean(c->tls_mode == TLS_SELF));
	put(b, "tls_external", json_boolean(c->tls_mode == TLS_EXTERNAL));
	put(b, "tls_cert_path", json_string(c->tls_cert_path));
	put(b, "tls_key_path", json_string(c->tls_key_path));
	put(b, "iroh_local", json_boolean(c->iroh == IROH_LOCAL));
	/* A fifth of all for one address: behind one, a whole village may sit. */
	put(b, "max_smtp_connections_per_client",
	    json_integer(
		c->max_smtp_connections < 5 ? 1 : c->max_smtp_connections / 5));
}

static const struct host_variable *find_variable(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		if (span_is(span_make(name, len), variables[i].name))
			return &variables[i];
	}
	return NULL;
}

/* The last "NAME=VALUE" for v, or NULL. */
static const char *find_set(
    const struct host_variable *v, const char *const *set, size_t n)
{
	size_t len = strlen(v->name);

	while (n-- > 0) {
		if (strncmp(set[n], v->name, len) == 0 && set[n][len] == '=')
			return set[n] + len + 1;
	}
	return NULL;
}

static bool check_set(struct builder *b, const char *const *set, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(set[i], "=");

		if (set[i][len] == '\0')
			return fail(b, "--set %s: write NAME=VALUE", set[i]);
		if (!find_variable(set[i], len))
			return fail(b,
			    "--set %s: no variable has this name; "
			    "see cmdeploy render --help",
			    set[i]);
	}
	return true;
}

static bool put_variable(
    struct builder *b, const struct host_variable *v, const char *value)
{
	char error[TEMPLATE_ERROR_MAX], *text;
	json_t *string;
	size_t len;

	if (value) {
		string = json_string(value);
		if (!string)
			return fail(b, "--set %s: the value is not UTF-8", v->name);
	} else {
		text = template_render(
		    v->name, span_of(v->fallback), b->context, NULL, &len, error);
		if (!text)
			return fail(b, "host variable %s", error);
		string = json_stringn(text, len);
		free(text);
	}
	put(b, v->name, string);
	return true;
}

/* What stands behind "inet:", as Postfix writes it too: "127.0.0.1:25", "[::1]:25". */
static const char *inet_address(const struct endpoint *ep)
{
	return ep->text + strlen("inet:");
}

/* The path below dir, without a leading slash, or NULL. */
static const char *path_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 0 && dir[len - 1] == '/')
		len--;
	if (strncmp(path, dir, len) != 0 || path[len] != '/' || path[len + 1] == '\0')
		return NULL;
	return path + len + 1;
}

static const char *queue_directory(const struct builder *b)
{
	return json_string_value(json_object_get(b->context, "queue_directory"));
}

/*
 * For smtpd_proxy_filter. smtpd's working directory is the queue directory, with and
 * without chroot: the relative form works in both, a full path only without.
 */
static void put_proxy_filter(
    struct builder *b, const char *name, const struct endpoint *ep)
{
	const char *path = endpoint_path(ep);
	const char *below = path ? path_below(path, queue_directory(b)) : NULL;

	if (path)
		put_text(b, name, "unix:%s", below ? below : path);
	else
		put_text(b, name, "%s", inet_address(ep));
}

/* The first two fields of a master.cf line; private must be n. */
static bool put_master_service(
    struct builder *b, const char *key, const char *name, const struct endpoint *ep)
{
	const char *path = endpoint_path(ep), *below, *service;

	if (!path) {
		put_text(b, name, "%s inet", inet_address(ep));
		return true;
	}
	below = path_below(path, queue_directory(b));
	service = below ? path_below(below, "public") : NULL;
	if (!service || strchr(service, '/'))
		return fail(b,
		    "%s: Postfix can only listen in its own directory; write %s = "
		    "unix:%s/public/NAME",
		    key, key, queue_directory(b));
	put_text(b, name, "%s unix", service);
	return true;
}

/* Dovecot's "proxy:PATH:NAME" knows no TCP. */
static bool put_dict_socket(
    struct builder *b, const char *key, const char *name, const struct endpoint *ep)
{
	const char *path = endpoint_path(ep);

	if (!path)
		return fail(b,
		    "%s: Dovecot asks on UNIX sockets only; write %s = unix:/path", key,
		    key);
	put(b, name, json_string(path));
	return true;
}

/* A word of a unit file, with the minus that says that it need not be there. */
static json_t *unit_path(struct span path)
{
	struct text word = { 0 };
	json_t *value;

	text_add(&word, "\"-");
	for (size_t i = 0; i < path.len; i++) {
		if (path.data[i] == '"' || path.data[i] == '\\')
			text_add(&word, "\\");
		if (path.data[i] == '%')
			text_add(&word, "%");
		text_add_span(&word, span_make(path.data + i, 1));
	}
	text_add(&word, "\"");
	value = json_stringn(word.data, word.len);
	text_free(&word);
	return value;
}

static bool is_below(struct span path, const char *const *directories, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(directories[i]);

		if (path.len >= len && memcmp(path.data, directories[i], len) == 0 &&
		    (path.len == len || path.data[len] == '/'))
			return true;
	}
	return false;
}

/* A directory that the daemon writes to: what must its sandbox be told? */
static void put_daemon_path(struct builder *b, struct span path)
{
	static const char *const open[] = { "/home/vmail", "/run/chatmaild",
		"/var/lib/chatmaild", "/var/spool/postfix/chatmaild" };
	static const char *const homes[] = { "/home", "/root", "/run/user" };
	bool home = is_below(path, homes, sizeof(homes) / sizeof(homes[0]));
	json_t *list = json_object_get(
		   b->context, home ? "daemon_home_paths" : "daemon_paths"),
	       *word, *there;
	size_t i;

	if (path.len == 0 || is_below(path, open, sizeof(open) / sizeof(open[0])))
		return;
	word = unit_path(path);
	json_array_foreach(list, i, there)
	{
		if (json_equal(there, word)) {
			json_decref(word);
			return;
		}
	}
	if (json_array_append_new(list, word) < 0)
		abort();
}

static void put_daemon_paths(struct builder *b)
{
	const struct config *c = b->config;
	const struct endpoint *const sockets[] = { &c->auth_socket, &c->metadata_socket,
		&c->lastlogin_socket, &c->http_socket, &c->admin_socket,
		&c->filter_outgoing_socket, &c->filter_incoming_socket };

	put(b, "daemon_paths", json_array());
	put(b, "daemon_home_paths", json_array());
	put_daemon_path(b, span_of(c->mailboxes_dir));
	put_daemon_path(b, span_of(c->state_dir));
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		const char *path = endpoint_path(sockets[i]);

		if (path)
			put_daemon_path(
			    b, span_make(path, (size_t)(strrchr(path, '/') - path)));
	}
}

/* For a "server" of nginx's upstream. */
static void put_upstream(struct builder *b, const char *name, const struct endpoint *ep)
{
	put_text(b, name, "%s", endpoint_path(ep) ? ep->text : inet_address(ep));
}

static bool put_sockets(struct builder *b)
{
	const struct config *c = b->config;

	put_upstream(b, "http_upstream", &c->http_socket);
	put_daemon_paths(b);
	put_proxy_filter(b, "filter_outgoing_postfix", &c->filter_outgoing_socket);
	put_proxy_filter(b, "filter_incoming_postfix", &c->filter_incoming_socket);
	return put_master_service(b, "reinject_outgoing", "reinject_outgoing_service",
		   &c->reinject_outgoing) &&
	       put_master_service(b, "reinject_incoming", "reinject_incoming_service",
		   &c->reinject_incoming) &&
	       put_dict_socket(b, "auth_socket", "auth_socket_path", &c->auth_socket) &&
	       put_dict_socket(
		   b, "metadata_socket", "metadata_socket_path", &c->metadata_socket) &&
	       put_dict_socket(b, "lastlogin_socket", "lastlogin_socket_path",
		   &c->lastlogin_socket);
}

static bool build(struct builder *b, const char *const *set, size_t nset)
{
	if (!check_set(b, set, nset) ||
	    !context_check(b->config, b->error, CONTEXT_ERROR_MAX))
		return false;
	put_config(b);
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		if (!put_variable(b, &variables[i], find_set(&variables[i], set, nset)))
			return false;
	}
	return put_sockets(b);
}

const struct host_variable *host_variables(size_t *n)
{
	*n = sizeof(variables) / sizeof(variables[0]);
	return variables;
}

json_t *context_create(const struct config *config, const char *const *set, size_t nset,
    char error[CONTEXT_ERROR_MAX])
{
	struct builder b = {
		.config = config, .context = json_object(), .error = error
	};

	error[0] = '\0';
	if (build(&b, set, nset))
		return b.context;
	json_decref(b.context);
	return NULL;
}
