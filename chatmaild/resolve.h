/*
 * A host's addresses, IPv4 and IPv6, looked up on the loop without blocking it: numeric
 * ones, the hosts file, then the nameservers of resolv.conf. Both files are read anew for
 * each lookup, so a daemon that runs for months follows their changes; nothing is kept
 * open between lookups.
 */
#ifndef CHATMAILD_RESOLVE_H
#define CHATMAILD_RESOLVE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define RESOLVE_MAX 8 /* addresses; more are not looked at */

struct resolved {
	struct sockaddr_storage addr;
	socklen_t len;
};

struct resolver;

/*
 * The answer, once, never from within resolver_start(): n > 0 addresses, families in
 * turn (RFC 8305 section 4), or n == 0 and why not, a literal.
 */
typedef void resolver_done(
    void *arg, const struct resolved *addresses, size_t n, const char *why);

/* resolv_conf: the path of that file, NULL for the system's; copied. */
struct resolver *resolver_create(
    struct event_base *base, const char *resolv_conf, resolver_done *done, void *arg);

/* Gives a lookup up without a call of done; evdns frees what it had in the loop's next
 * turn. Accepts NULL. */
void resolver_destroy(struct resolver *r);

/* Look host up, a lookup under way is given up. An IPv6 address has no brackets. */
void resolver_start(
    struct resolver *r, const char *host, uint16_t port, bool ipv4_only);
void resolver_stop(struct resolver *r);

#endif
