/* What follows from what. */
#include <fnmatch.h>

#include "deploy/doctor_impl.h"

#define STEPS_MAX 16 /* from an effect to its cause; the table has no circles */

/*
 * If both are ill, effect follows from cause: patterns of fnmatch(3) for their keys. Of
 * several causes the first counts.
 */
static const struct link {
	const char *effect, *cause;
} links[] = {
	/* Nobody can be reached if this machine or the whole host cannot. */
	{ "port *", "ssh" },
	{ "dns *", "dns servers" },
	{ "port *", "dns servers" },
	{ "port *", "dns A *" },

	/* Units: what they read, and what they stand on. */
	{ "unit *", "disk *" },
	{ "unit *", "inodes *" },
	{ "unit chatmaild.service", "unit chatmaild*.socket" },
	{ "unit chatmaild*", "file /etc/chatmaild/*" },
	{ "unit chatmaild*", "file /etc/systemd/system/chatmaild*" },
	{ "unit nginx.service", "file /etc/nginx/*" },
	{ "unit nginx.service", "file /etc/systemd/system/nginx*" },
	{ "unit nginx.service", "tls key" },
	{ "unit nginx.service", "tls file" },
	{ "unit dovecot.service", "file /etc/dovecot/*" },
	{ "unit dovecot.service", "file /etc/systemd/system/dovecot*" },
	{ "unit dovecot.service", "tls file" },
	{ "unit postfix@-.service", "file /etc/postfix/*" },
	{ "unit postfix@-.service", "file /etc/systemd/system/postfix*" },
	{ "unit postfix@-.service", "unit postfix.service" },
	{ "unit unbound.service", "file /etc/unbound/*" },
	{ "unit chatmail-opendkim@*", "file /etc/opendkim/*" },
	{ "unit chatmail-opendkim@*", "file /etc/systemd/system/chatmail-opendkim*" },
	{ "unit chatmail-opendkim@sign.service", "state *DKIM*" },
	{ "unit coturn.service", "file /etc/turnserver.conf" },
	{ "unit coturn.service", "file /etc/systemd/system/coturn*" },
	{ "unit turnserver.service", "file /etc/systemd/system/turnserver*" },
	{ "unit iroh-relay.service", "file /etc/*iroh-relay*" },

	/* Sockets and their units; ports as they look from afar, and their sockets. */
	{ "listen 25", "unit postfix@-.service" },
	{ "listen 465", "unit postfix@-.service" },
	{ "listen 587", "unit postfix@-.service" },
	{ "listen 25", "file /etc/postfix/*" },
	{ "listen 465", "file /etc/postfix/*" },
	{ "listen 587", "file /etc/postfix/*" },
	{ "listen 143", "unit dovecot.service" },
	{ "listen 993", "unit dovecot.service" },
	{ "listen 143", "file /etc/dovecot/*" },
	{ "listen 993", "file /etc/dovecot/*" },
	{ "listen 80", "unit acmetool-redirector.service" },
	{ "listen 80", "unit nginx.service" },
	{ "listen 443", "unit nginx.service" },
	{ "listen 80", "file /etc/nginx/*" },
	{ "listen 443", "file /etc/nginx/*" },
	{ "listen 3478", "unit turnserver.service" },
	{ "listen 3478", "unit coturn.service" },
	{ "listen 53", "unit unbound.service" },
	{ "port 25 *", "listen 25" },
	{ "port 80 *", "listen 80" },
	{ "port 143 *", "listen 143" },
	{ "port 443 *", "listen 443" },
	{ "port 465 *", "listen 465" },
	{ "port 587 *", "listen 587" },
	{ "port 993 *", "listen 993" },
	{ "port *", "resolver" }, /* who connects is looked up before he is greeted */
	{ "port 443 *", "unit nginx.service" },

	{ "port *", "tls key" },
	{ "port *", "tls file" },

	/* Certificates. */
	{ "state certificate *", "tls *" },
	{ "tls served *", "unit tls-cert-reload.path" },
	{ "tls served *", "tls key" },
	{ "tls served *", "tls file" },
	{ "tls chain", "tls file" },
	{ "tls name", "tls file" },
	{ "tls expiry", "unit acmetool-reconcile.timer" },

	/* Names and the world. */
	{ "resolver", "unit unbound.service" },
	{ "resolver", "file /etc/unbound/*" },
	{ "resolver", "file /etc/resolv.conf" },
	{ "out 25", "resolver" },
	{ "push", "resolver" },

	/* Web, calls, and what devices meet at. */
	{ "web*", "unit nginx.service" },
	{ "web*", "listen 443" },
	{ "web*", "port 443 *" },
	{ "web new", "unit chatmaild.service" },
	{ "web new", "unit chatmaild*.socket" },
	{ "web new", "file /etc/chatmaild/*" },
	{ "web new", "disk *" },
	{ "web new", "memory" },
	{ "web*", "file /etc/nginx/*" },
	{ "web*", "directory /var/www*" },
	{ "web*", "file /var/www/*" },
	{ "iroh", "unit iroh-relay.service" },
	{ "iroh", "unit nginx.service" },
	{ "iroh", "listen 443" },
	{ "iroh", "port 443 *" },
	{ "iroh", "file /etc/nginx/*" },
	{ "turn", "unit turnserver.service" },
	{ "turn", "unit coturn.service" },
	{ "turn", "listen 3478" },
	{ "turn", "file /etc/turnserver.conf" },

	/* Mail, from the login to the signature. */
	{ "mail *", "unit unbound.service" },
	{ "mail *", "resolver" },
	{ "mail *", "disk *" },
	{ "mail *", "inodes *" },
	{ "mail login*", "registration" },
	{ "mail login*", "unit dovecot.service" },
	{ "mail login*", "unit chatmaild.service" },
	{ "mail login*", "unit chatmaild*.socket" },
	{ "mail login*", "listen 993" },
	{ "mail login*", "port 993 *" },
	{ "mail login*", "file /etc/dovecot/*" },
	{ "mail login*", "file /etc/chatmaild/*" },
	{ "mail login*", "memory" },
	{ "mail login*", "state *" },
	{ "mail metadata", "unit chatmaild.service" },
	{ "mail metadata", "unit turnserver.service" },
	{ "mail metadata", "file /etc/dovecot/*" },
	{ "mail send", "unit postfix@-.service" },
	{ "mail send", "unit chatmaild.service" },
	{ "mail send", "unit chatmaild*.socket" },
	{ "mail send", "unit chatmail-opendkim@sign.service" },
	{ "mail send", "unit dovecot.service" },
	{ "mail send", "listen 465" },
	{ "mail send", "port 465 *" },
	{ "mail send", "file /etc/postfix/*" },
	{ "mail send", "file /etc/chatmaild/*" },
	{ "mail send", "state *DKIM*" },
	{ "mail arrive", "unit dovecot.service" },
	{ "mail arrive", "file /etc/dovecot/*" },
	{ "mail arrive", "file /etc/postfix/*" },
	{ "mail cleartext", "unit chatmaild.service" },
	{ "mail cleartext", "unit chatmaild*.socket" },
	{ "mail cleartext", "unit dovecot.service" },
	{ "mail cleartext", "unit postfix@-.service" },
	{ "mail cleartext", "listen 587" },
	{ "mail cleartext", "port 587 *" },
	{ "mail cleartext", "file /etc/chatmaild/*" },
	{ "mail cleartext", "file /etc/postfix/*" },
	{ "mail dkim", "unit chatmail-opendkim@sign.service" },
	{ "mail dkim", "state *DKIM*" },
	{ "mail dkim", "file /etc/opendkim/*" },
	{ "mail dkim", "dns TXT opendkim.*" },
	{ "mail dkim", "mail arrive" },
	{ "mail dkim", "clock" },

	/* What waits, and what is said of units that are named already. */
	{ "queue *", "resolver" },
	{ "queue *", "out 25" },
	{ "queue *", "unit dovecot.service" },
	{ "queue *", "unit chatmaild.service" },
	{ "queue *", "disk *" },
	{ "failed tls-cert-reload.service", "tls *" },
};

static bool is_ill(const struct doctor_finding *f)
{
	return f->severity >= DOCTOR_WARNING;
}

/* The index of what it follows from directly; its own if from nothing. */
static size_t cause_of(const struct doctor *d, size_t effect)
{
	for (size_t k = 0; k < sizeof(links) / sizeof(links[0]); k++) {
		if (fnmatch(links[k].effect, d->list[effect].key, 0) != 0)
			continue;
		for (size_t i = 0; i < d->n; i++) {
			if (i != effect && is_ill(&d->list[i]) &&
			    fnmatch(links[k].cause, d->list[i].key, 0) == 0)
				return i;
		}
	}
	return effect;
}

static size_t root_of(const struct doctor *d, size_t i)
{
	for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
		size_t next = cause_of(d, i);

		if (next == i)
			break;
		i = next;
	}
	return i;
}

void doctor_explain(struct doctor *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct doctor_finding *root;

		if (!is_ill(&d->list[i]))
			continue;
		d->list[i].because = root_of(d, i);
		root = &d->list[d->list[i].because];
		if (root->worst < d->list[i].severity)
			root->worst = d->list[i].severity;
	}
}
