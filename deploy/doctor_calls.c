#include "deploy/doctor_calls.h"

#include <netdb.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "deploy/dial.h"
#include "deploy/stun.h"

#define UNAUTHORIZED 401
#define STALE_NONCE  438

/* A UDP socket that hears nobody else; -1 if there is no way. */
static int open_socket(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -1;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	return fd;
}

/* One answer of the server to this request, from packets that come until then. */
static bool await_answer(int fd, enum stun_method method, const uint8_t *id,
    int64_t until, uint8_t packet[STUN_MAX], struct stun_reply *reply)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left;

	while ((left = until - dial_now_ms()) > 0) {
		ssize_t n;

		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(fd, packet, STUN_MAX, MSG_DONTWAIT);
		if (n > 0 &&
		    !stun_parse(
			reply, span_make((const char *)packet, (size_t)n), method, id))
			return true;
		if (n < 0)
			return false; /* refused: ICMP says that nobody is there */
	}
	return false;
}

/* Ask, again if nothing comes. What reply borrows lies in packet. */
static bool ask(int fd, enum stun_method method, const struct stun_credentials *c,
    uint8_t packet[STUN_MAX], struct stun_reply *reply)
{
	uint8_t request[STUN_MAX], id[STUN_ID_SIZE];
	size_t len;

	if (RAND_bytes(id, sizeof(id)) != 1)
		return false;
	len = stun_write(request, method, id, c);
	for (int i = 0; len > 0 && i < TURN_TRIES; i++) {
		if (send(fd, request, len, 0) >= 0 &&
		    await_answer(
			fd, method, id, dial_now_ms() + TURN_TRY_MS, packet, reply))
			return true;
	}
	return false;
}

static const char restart[] =
    "see journalctl -u turnserver -u coturn; UDP port 3478 must be open";

/* With credentials; a nonce may be stale at once. */
static void allocate(struct doctor *d, int fd, struct stun_credentials *c)
{
	uint8_t first[STUN_MAX], second[STUN_MAX], *packet = first;
	struct stun_reply reply;

	if (!ask(fd, STUN_ALLOCATE, NULL, packet, &reply)) {
		doctor_note(d, DOCTOR_TROUBLE, "turn", restart,
		    "nothing answers on its UDP port, so calls fail");
		return;
	}
	for (int i = 0; i < 2 && !reply.success &&
			(reply.error == UNAUTHORIZED || reply.error == STALE_NONCE);
	     i++) {
		c->realm = reply.realm.len ? reply.realm : c->realm;
		c->nonce = reply.nonce;
		packet = packet == first ? second : first;
		if (!ask(fd, STUN_ALLOCATE, c, packet, &reply))
			break;
	}
	if (reply.success && reply.relayed) {
		doctor_note(d, DOCTOR_SOUND, "turn", NULL, "gives out addresses");
		ask(fd, STUN_REFRESH, c, packet == first ? second : first, &reply);
	} else if (reply.error == UNAUTHORIZED) {
		doctor_note(d, DOCTOR_TROUBLE, "turn",
		    "cmdeploy run, which makes both know the same secret",
		    "it does not take the credentials that clients are given");
	} else {
		doctor_note(d, DOCTOR_TROUBLE, "turn", restart,
		    "it gives out no address (error %u)", reply.error);
	}
}

void doctor_try_turn(struct doctor *d, struct span server, const char *address)
{
	struct stun_credentials c = { 0 };
	struct span host, port, rest = server;
	char *name, *service;
	int fd;

	if (!span_cut(&rest, ':', &host) || !span_cut(&rest, ':', &port) ||
	    !span_cut(&rest, ':', &c.user) || !rest.data) {
		doctor_note(d, DOCTOR_TROUBLE, "turn", "cmdeploy run",
		    "clients are told of a TURN server in a way they cannot read");
		return;
	}
	c.password = rest;
	c.realm = c.nonce = span_of("");
	name = span_dup(host);
	service = span_dup(port);
	if (!name || !service)
		abort();
	fd = open_socket(address ? address : name, service);
	if (fd < 0)
		doctor_note(d, DOCTOR_TROUBLE, "turn", restart,
		    "the name %s, which clients are told, is not to be reached", name);
	else
		allocate(d, fd, &c);
	if (fd >= 0)
		close(fd);
	free(name);
	free(service);
}
