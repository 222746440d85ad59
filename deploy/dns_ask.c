/*
 * Every question is a small state machine over a socket of its own, and one poll() waits for
 * all of them: a dead name server costs its time once, not once a question.
 */
#include "deploy/dns_ask.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define FLIGHT_MAX  128  /* questions at once, and so descriptors */
#define UDP_SIZE    1232 /* bytes of an answer that need no fragments */
#define MESSAGE_MAX 65535

enum state {
	FREE,
	UDP,      /* asked, waiting */
	TCP_SEND, /* connecting or sending */
	TCP_READ,
};

struct flight {
	enum state state;
	struct dns_question *question;
	int fd;
	uint16_t id;
	unsigned tries;      /* by UDP, this one included */
	int64_t deadline_ms; /* of this try */
	uint8_t *query;   /* two bytes of length, then the message: as TCP wants it */
	size_t query_len; /* with these two bytes */
	size_t done;      /* bytes sent, or read, by TCP */
	uint8_t *reply;   /* by TCP, with its length before it; allocated then */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Ends the flight; answer is taken, NULL unless outcome is DNS_ANSWERED. */
static void land(struct flight *f, enum dns_outcome outcome, ldns_pkt *answer)
{
	f->question->outcome = outcome;
	f->question->answer = answer;
	if (f->fd >= 0)
		close(f->fd);
	free(f->query);
	free(f->reply);
	*f = (struct flight){ .fd = -1 };
}

/* The message in wire form; false if the name does not fit one. */
static bool write_query(struct flight *f)
{
	const struct dns_question *q = f->question;
	ldns_rdf *name = ldns_dname_new_frm_str(q->name);
	ldns_pkt *packet = NULL;
	uint8_t *wire = NULL;
	size_t len = 0;

	if (!name)
		return false;
	packet = ldns_pkt_query_new(
	    name, q->type, LDNS_RR_CLASS_IN, q->recurse ? LDNS_RD : 0);
	if (!packet || getrandom(&f->id, sizeof(f->id), 0) != sizeof(f->id))
		abort();
	ldns_pkt_set_id(packet, f->id);
	ldns_pkt_set_edns_udp_size(packet, UDP_SIZE);
	if (ldns_pkt2wire(&wire, packet, &len) != LDNS_STATUS_OK)
		abort();
	ldns_pkt_free(packet); /* and the name */
	f->query = malloc(len + 2);
	if (!f->query)
		abort();
	f->query[0] = (uint8_t)(len >> 8);
	f->query[1] = (uint8_t)len;
	memcpy(f->query + 2, wire, len);
	f->query_len = len + 2;
	free(wire);
	return true;
}

/* A connected socket hears only whom it is connected to, and of refusals. */
static bool open_socket(struct flight *f, int type)
{
	const struct dns_address *server = f->question->server;

	if (f->fd >= 0)
		close(f->fd);
	f->fd = socket(server->to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return f->fd >= 0 && (connect(f->fd, (const struct sockaddr *)&server->to,
				  server->len) == 0 ||
				 errno == EINPROGRESS);
}

static bool no_route(void)
{
	return errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EAFNOSUPPORT ||
	       errno == EADDRNOTAVAIL;
}

static void start_tcp(struct flight *f)
{
	f->state = TCP_SEND;
	f->done = 0;
	f->deadline_ms = now_ms() + DNS_TCP_MS;
	if (!open_socket(f, SOCK_STREAM))
		land(f, DNS_SILENT, NULL);
}

static void send_udp(struct flight *f)
{
	f->tries++;
	f->deadline_ms = now_ms() + DNS_UDP_TRY_MS;
	if (send(f->fd, f->query + 2, f->query_len - 2, 0) < 0 && errno != EAGAIN)
		start_tcp(f); /* refused: an ICMP error of the try before */
}

static void take_off(struct flight *f, struct dns_question *q)
{
	*f = (struct flight){ .state = UDP, .question = q, .fd = -1 };
	if (!write_query(f))
		land(f, DNS_IMPOSSIBLE, NULL);
	else if (!open_socket(f, SOCK_DGRAM))
		land(f, no_route() ? DNS_NO_ROUTE : DNS_SILENT, NULL);
	else
		send_udp(f);
}

/* Is it the answer to what was asked? RFC 5452 section 9.1. NULL if not. */
static ldns_pkt *read_answer(const struct flight *f, const uint8_t *data, size_t len)
{
	const struct dns_question *q = f->question;
	ldns_rdf *name = ldns_dname_new_frm_str(q->name);
	ldns_pkt *packet = NULL;
	const ldns_rr *asked;
	bool good = false;

	if (ldns_wire2pkt(&packet, data, len) != LDNS_STATUS_OK)
		packet = NULL;
	if (packet && name && ldns_pkt_qr(packet) && ldns_pkt_id(packet) == f->id &&
	    ldns_pkt_qdcount(packet) == 1) {
		asked = ldns_rr_list_rr(ldns_pkt_question(packet), 0);
		good = asked && ldns_rr_get_type(asked) == q->type &&
		       ldns_dname_compare(ldns_rr_owner(asked), name) == 0;
	}
	/* Servers may leave the question out when they refuse it. */
	if (packet && ldns_pkt_qr(packet) && ldns_pkt_id(packet) == f->id &&
	    ldns_pkt_qdcount(packet) == 0 &&
	    ldns_pkt_get_rcode(packet) != LDNS_RCODE_NOERROR)
		good = true;
	ldns_rdf_deep_free(name);
	if (good)
		return packet;
	ldns_pkt_free(packet);
	return NULL;
}

static void read_udp(struct flight *f)
{
	uint8_t data[UDP_SIZE * 4];
	ssize_t len = recv(f->fd, data, sizeof(data), 0);
	ldns_pkt *answer;

	if (len < 0) {
		if (errno != EAGAIN && errno != EINTR)
			start_tcp(f);
		return;
	}
	answer = read_answer(f, data, (size_t)len);
	if (answer && ldns_pkt_tc(answer)) {
		ldns_pkt_free(answer);
		start_tcp(f);
	} else if (answer) {
		land(f, DNS_ANSWERED, answer);
	} /* else not for us: go on waiting */
}

static void send_tcp(struct flight *f)
{
	ssize_t n =
	    send(f->fd, f->query + f->done, f->query_len - f->done, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			land(f, DNS_SILENT, NULL);
		return;
	}
	f->done += (size_t)n;
	if (f->done < f->query_len)
		return;
	f->state = TCP_READ;
	f->done = 0;
	f->reply = malloc(MESSAGE_MAX + 2);
	if (!f->reply)
		abort();
}

static void read_tcp(struct flight *f)
{
	size_t want = f->done < 2 ? 2 : 2u + (f->reply[0] << 8 | f->reply[1]);
	ssize_t n = recv(f->fd, f->reply + f->done, want - f->done, 0);
	ldns_pkt *answer;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			land(f, DNS_SILENT, NULL);
		return;
	}
	f->done += (size_t)n;
	if (f->done < 2 || f->done < 2u + (f->reply[0] << 8 | f->reply[1]))
		return;
	answer = read_answer(f, f->reply + 2, f->done - 2);
	land(f, answer ? DNS_ANSWERED : DNS_SILENT, answer);
}

static void expire(struct flight *f)
{
	if (f->state != UDP)
		land(f, DNS_SILENT, NULL);
	else if (f->tries < DNS_UDP_TRIES)
		send_udp(f);
	else
		start_tcp(f);
}

static void advance(struct flight *f, short events, int64_t now)
{
	if (events && f->state == UDP)
		read_udp(f);
	else if (events && f->state == TCP_SEND)
		send_tcp(f);
	else if (events && f->state == TCP_READ)
		read_tcp(f);
	else if (f->state != FREE && now >= f->deadline_ms)
		expire(f);
}

/* What befell an earlier question to the same server, if it is out of reach. */
static enum dns_outcome server_outcome(const struct dns_question *questions, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (questions[k].server == questions[i].server &&
		    (questions[k].outcome == DNS_SILENT ||
			questions[k].outcome == DNS_NO_ROUTE))
			return questions[k].outcome;
	}
	return DNS_UNASKED;
}

/* Fill free places with questions from *next on. Returns how many are in flight. */
static size_t fill(
    struct flight *flights, struct dns_question *questions, size_t n, size_t *next)
{
	size_t busy = 0;

	for (size_t i = 0; i < FLIGHT_MAX; i++) {
		struct flight *f = &flights[i];

		while (f->state == FREE && *next < n) {
			struct dns_question *q = &questions[*next];

			q->outcome = server_outcome(questions, (*next)++);
			if (q->outcome == DNS_UNASKED)
				take_off(f, q);
		}
		busy += f->state != FREE;
	}
	return busy;
}

static void wait_all(struct flight *flights)
{
	struct pollfd polls[FLIGHT_MAX];
	int64_t now = now_ms(), first = now + DNS_TCP_MS;

	for (size_t i = 0; i < FLIGHT_MAX; i++) {
		const struct flight *f = &flights[i];

		polls[i].fd = f->state == FREE ? -1 : f->fd;
		polls[i].events = f->state == TCP_SEND ? POLLOUT : POLLIN;
		polls[i].revents = 0;
		if (f->state != FREE && f->deadline_ms < first)
			first = f->deadline_ms;
	}
	if (poll(polls, FLIGHT_MAX, first > now ? (int)(first - now) : 0) < 0)
		return; /* EINTR: nothing is lost, deadlines are looked at next time */
	now = now_ms();
	for (size_t i = 0; i < FLIGHT_MAX; i++)
		advance(&flights[i], polls[i].revents, now);
}

void dns_ask(struct dns_question *questions, size_t n)
{
	struct flight *flights = calloc(FLIGHT_MAX, sizeof(*flights));
	size_t next = 0;

	if (!flights)
		abort();
	for (size_t i = 0; i < n; i++) {
		questions[i].outcome = DNS_UNASKED;
		questions[i].answer = NULL;
	}
	while (fill(flights, questions, n, &next) > 0)
		wait_all(flights);
	free(flights);
}

void dns_questions_free(struct dns_question *questions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ldns_pkt_free(questions[i].answer);
		questions[i].answer = NULL;
	}
}
