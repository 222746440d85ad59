/* Names to addresses with evdns; see resolve.h. */
#include "chatmaild/resolve.h"

#include <event2/dns.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOLV_CONF "/etc/resolv.conf"
/* How long the second family may take after the first one, in seconds. */
#define SKEW "1"

/* What evdns calls back with; outlives a resolver that gave it up. */
struct lookup {
	struct resolver *resolver; /* NULL: given up */
};

struct resolver {
	struct event_base *base;
	char *resolv_conf;
	resolver_done *done;
	void *arg;
	struct evdns_base *dns; /* of the lookup under way */
	struct lookup *lookup;  /* NULL: answered, or none */
	struct event answer;    /* tells it, from the loop */
	struct resolved addresses[RESOLVE_MAX];
	size_t n;
};

static bool resolver_add(struct resolver *r, const struct evutil_addrinfo *ai)
{
	struct resolved *to = &r->addresses[r->n];

	if (r->n == RESOLVE_MAX || ai->ai_addrlen > sizeof(to->addr))
		return false;
	memcpy(&to->addr, ai->ai_addr, ai->ai_addrlen);
	to->len = (socklen_t)ai->ai_addrlen;
	r->n++;
	return true;
}

static const struct evutil_addrinfo *next_of(
    const struct evutil_addrinfo *ai, int family)
{
	while (ai && ai->ai_family != family)
		ai = ai->ai_next;
	return ai;
}

/* In turn, so that a family without a route costs one failed try, not all of them. */
static void resolver_take(struct resolver *r, const struct evutil_addrinfo *list)
{
	const struct evutil_addrinfo *six = next_of(list, AF_INET6);
	const struct evutil_addrinfo *four = next_of(list, AF_INET);

	while (six || four) {
		if (six && resolver_add(r, six))
			six = next_of(six->ai_next, AF_INET6);
		if (four && resolver_add(r, four))
			four = next_of(four->ai_next, AF_INET);
		if (r->n == RESOLVE_MAX)
			break;
	}
}

/* From the loop, or from within evdns_getaddrinfo(). */
static void on_resolved(int result, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *l = arg;
	struct resolver *r = l->resolver;

	free(l);
	if (r) {
		r->lookup = NULL;
		r->n = 0;
		if (result == 0)
			resolver_take(r, list);
		event_active(&r->answer, EV_TIMEOUT, 0);
	}
	if (list)
		evutil_freeaddrinfo(list);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;

	evdns_base_free(r->dns, 0);
	r->dns = NULL;
	r->done(r->arg, r->addresses, r->n,
	    r->n > 0 ? NULL : "no address found for its name");
}

struct resolver *resolver_create(
    struct event_base *base, const char *resolv_conf, resolver_done *done, void *arg)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->base = base;
	r->resolv_conf = strdup(resolv_conf ? resolv_conf : RESOLV_CONF);
	r->done = done;
	r->arg = arg;
	if (!r->resolv_conf || evtimer_assign(&r->answer, base, on_answer, r) < 0)
		abort();
	return r;
}

void resolver_destroy(struct resolver *r)
{
	if (!r)
		return;
	resolver_stop(r);
	free(r->resolv_conf);
	free(r);
}

void resolver_start(struct resolver *r, const char *host, uint16_t port, bool ipv4_only)
{
	const struct evutil_addrinfo hints = {
		.ai_family = ipv4_only ? AF_INET : AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
	};
	struct lookup *l = calloc(1, sizeof(*l));
	char service[8];

	resolver_stop(r);
	r->dns = evdns_base_new(r->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!l || !r->dns)
		abort();
	/* Without the file or a nameserver in it, evdns takes the one of this host. */
	evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL, r->resolv_conf);
	evdns_base_set_option(r->dns, "getaddrinfo-allow-skew:", SKEW);
	snprintf(service, sizeof(service), "%u", port);
	l->resolver = r;
	r->lookup = l;
	evdns_getaddrinfo(r->dns, host, service, &hints, on_resolved, l);
}

void resolver_stop(struct resolver *r)
{
	event_del(&r->answer);
	if (r->lookup)
		r->lookup->resolver = NULL;
	r->lookup = NULL;
	if (r->dns)
		evdns_base_free(r->dns, 1); /* on_resolved() comes later */
	r->dns = NULL;
}
