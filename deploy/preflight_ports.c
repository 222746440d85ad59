/* Ports that a relay needs, and that another program holds. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "deploy/preflight_impl.h"
#include "deploy/text.h"

#define RULES_MAX   40
#define PROCESS_MAX 15 /* bytes of a process name that the kernel keeps */

struct rule {
	unsigned port;
	const char *protocol;
	const char *allowed; /* names of processes, parted by blanks */
};

static const struct rule always[] = {
	{ 25, "tcp", "master smtpd postscreen" },
	{ 53, "tcp", "unbound" },
	{ 53, "udp", "unbound" },
	{ 80, "tcp", "nginx acmetool" },
	{ 143, "tcp", "dovecot imap-login" },
	{ 443, "tcp", "nginx" },
	{ 465, "tcp", "master smtpd" },
	{ 587, "tcp", "master smtpd" },
	{ 993, "tcp", "dovecot imap-login" },
	{ 3478, "tcp", "chatmail-turn turnserver" },
	{ 3478, "udp", "chatmail-turn turnserver" },
	{ 8443, "tcp", "nginx" },
	{ 8465, "tcp", "nginx" },
	{ 8993, "tcp", "nginx" },
};

struct rules {
	struct rule rule[RULES_MAX];
	size_t n;
};

static void add_rule(struct rules *r, unsigned port, const char *allowed)
{
	if (r->n == RULES_MAX)
		abort();
	r->rule[r->n++] =
	    (struct rule){ .port = port, .protocol = "tcp", .allowed = allowed };
}

/* The port of an endpoint on this machine; UNIX sockets have none. */
static void add_endpoint(
    struct rules *r, const struct endpoint *ep, const char *allowed)
{
	if (ep->len > 0 && ep->addr.ss_family == AF_INET)
		add_rule(r, ntohs(((const struct sockaddr_in *)&ep->addr)->sin_port),
		    allowed);
	else if (ep->len > 0 && ep->addr.ss_family == AF_INET6)
		add_rule(r, ntohs(((const struct sockaddr_in6 *)&ep->addr)->sin6_port),
		    allowed);
}

static void make_rules(struct rules *r, const struct config *c)
{
	/* systemd holds the sockets of our daemon, also while that does not run. */
	static const char daemon[] = "chatmaild systemd filtermail";

	*r = (struct rules){ 0 };
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		r->rule[r->n++] = always[i];
	if (c->tls_mode == TLS_ACME)
		add_rule(r, 402, "acmetool");
	if (c->iroh == IROH_LOCAL)
		add_rule(r, 3340, "iroh-relay");
	if (*c->mtail_address)
		add_rule(r, 3903, "mtail");
	add_endpoint(r, &c->filter_outgoing_socket, daemon);
	add_endpoint(r, &c->filter_incoming_socket, daemon);
	add_endpoint(r, &c->auth_socket, daemon);
	add_endpoint(r, &c->metadata_socket, daemon);
	add_endpoint(r, &c->lastlogin_socket, daemon);
	add_endpoint(r, &c->http_socket, daemon);
	add_endpoint(r, &c->admin_socket, daemon);
	add_endpoint(r, &c->metrics_address, daemon);
	add_endpoint(r, &c->reinject_outgoing, "master smtpd");
	add_endpoint(r, &c->reinject_incoming, "master smtpd");
}

static bool is_allowed(const struct rule *rule, const char *process)
{
	struct span rest = span_of(rule->allowed), word;

	while (span_cut(&rest, ' ', &word)) {
		if (word.len > PROCESS_MAX)
			word.len = PROCESS_MAX;
		if (span_is(word, process))
			return true;
	}
	return false;
}

static const struct rule *find_rule(const struct rules *r, const struct fact_port *port)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->rule[i].port == port->port &&
		    strcmp(r->rule[i].protocol, port->protocol) == 0)
			return &r->rule[i];
	}
	return NULL;
}

/* A resolver of its own at another address of loopback, or of virtual machines. */
static bool is_elsewhere(const struct fact_port *port)
{
	static const char *const ours[] = { "0.0.0.0", "::", "*", "127.0.0.1", "::1" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strcmp(port->address, ours[i]) == 0)
			return false;
	}
	return true;
}

static bool is_resolved(const struct fact_port *port)
{
	return port->port == 53 && strcmp(port->process, "systemd-resolve") == 0;
}

static bool same_socket(const struct fact_port *a, const struct fact_port *b)
{
	return a->port == b->port && strcmp(a->protocol, b->protocol) == 0 &&
	       strcmp(a->address, b->address) == 0;
}

/* Does a program hold this socket that may? The rows of a socket are neighbours. */
static bool is_shared_with_allowed(
    const struct facts *f, size_t i, const struct rule *rule)
{
	size_t first = i;

	while (first > 0 && same_socket(&f->ports[first - 1], &f->ports[i]))
		first--;
	for (; first < f->nports && same_socket(&f->ports[first], &f->ports[i]);
	     first++) {
		if (is_allowed(rule, f->ports[first].process))
			return true;
	}
	return false;
}

static bool is_in_the_way(const struct rules *r, const struct facts *f, size_t i)
{
	const struct fact_port *port = &f->ports[i];
	const struct rule *rule = find_rule(r, port);

	if (!rule || !*port->process || is_resolved(port))
		return false;
	if (port->port == 53 && is_elsewhere(port))
		return false;
	return !is_shared_with_allowed(f, i, rule);
}

/* Different ports; there are never more than rules. */
struct ports {
	unsigned port[RULES_MAX];
	size_t n;
};

static void add_port(struct ports *ports, unsigned port)
{
	for (size_t i = 0; i < ports->n; i++) {
		if (ports->port[i] == port)
			return;
	}
	ports->port[ports->n++] = port;
}

/* All that the process of row i holds, in one line; so its rows are done. */
static void tell_process(struct preflight *p, bool *in_the_way, size_t i)
{
	const struct facts *f = p->facts;
	const char *process = f->ports[i].process;
	struct ports ports = { 0 };
	struct text list = { 0 };

	for (size_t k = i; k < f->nports; k++) {
		if (in_the_way[k] && strcmp(f->ports[k].process, process) == 0) {
			add_port(&ports, f->ports[k].port);
			in_the_way[k] = false;
		}
	}
	for (size_t k = 0; k < ports.n; k++)
		text_printf(&list, "%s%u", k > 0 ? ", " : "", ports.port[k]);
	preflight_hinder(p,
	    "Port%s %s of the server %s taken by %s; a relay needs %s. Stop that "
	    "service and disable it, or remove its package.%s",
	    ports.n > 1 ? "s" : "", list.data, ports.n > 1 ? "are" : "is", process,
	    ports.n > 1 ? "them" : "it",
	    /* Of a relay's own nginx these are not. */
	    strcmp(process, "nginx") == 0
		? " If it forwards to another server: cmdeploy forward --stop."
		: "");
	text_free(&list);
}

void preflight_ports(struct preflight *p)
{
	const struct facts *f = p->facts;
	bool *in_the_way = calloc(f->nports + 1, sizeof(in_the_way[0]));
	bool resolved = false;
	struct rules rules;

	if (!in_the_way)
		abort();
	make_rules(&rules, p->config);
	for (size_t i = 0; i < f->nports; i++) {
		resolved |= is_resolved(&f->ports[i]);
		in_the_way[i] = is_in_the_way(&rules, f, i);
	}
	for (size_t i = 0; i < f->nports; i++) {
		if (in_the_way[i])
			tell_process(p, in_the_way, i);
	}
	free(in_the_way);
	if (resolved)
		preflight_remark(p,
		    "systemd-resolved answers on port 53; it is stopped, and unbound "
		    "takes its place.");
	if (!f->ports_known)
		preflight_remark(p, "there is no ss (package iproute2) on the server; "
				    "whether its ports "
				    "are free is not known.");
}
