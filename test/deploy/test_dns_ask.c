/* Questions against a name server that does all it can to confuse. */
#include "deploy/dns_ask.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support.h"

#define QUERY_MAX 512

/* The peer: a UDP and a TCP socket at one port of loopback, served by a child. */
struct peer {
	struct dns_address address;
	int udp, tcp;
	pid_t pid;
};

/* Both at one port: the kernel picks it for UDP, TCP follows. */
static struct peer open_peer(void)
{
	struct peer p = { .address.len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in = (struct sockaddr_in *)&p.address.to;
	socklen_t len = sizeof(*in);

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	p.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p.udp, (struct sockaddr *)in, len), 0);
	assert_int_equal(getsockname(p.udp, (struct sockaddr *)in, &len), 0);
	assert_int_equal(bind(p.tcp, (struct sockaddr *)in, len), 0);
	return p;
}

static void start(struct peer *p, void (*serve)(struct peer *p))
{
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		alarm(20);
		serve(p);
		_exit(0);
	}
}

static void end(struct peer *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	close(p->udp);
	close(p->tcp);
}

/* Make an answer of a query: the question alone, with a response code. */
static void make_answer(uint8_t *data, unsigned rcode)
{
	data[2] = 0x84; /* a response, authoritative */
	data[3] = (uint8_t)rcode;
}

static ssize_t receive(struct peer *p, uint8_t *data, struct sockaddr_in *from)
{
	socklen_t len = sizeof(*from);

	return recvfrom(p->udp, data, QUERY_MAX, 0, (struct sockaddr *)from, &len);
}

static void reply(
    struct peer *p, const uint8_t *data, ssize_t len, struct sockaddr_in *to)
{
	if (sendto(p->udp, data, (size_t)len, 0, (struct sockaddr *)to, sizeof(*to)) <
	    0)
		_exit(1);
}

static void serve_forgeries(struct peer *p)
{
	struct sockaddr_in from;
	uint8_t data[QUERY_MAX], forged[QUERY_MAX];
	ssize_t len = receive(p, data, &from);

	reply(p, data, len, &from); /* the query itself */
	reply(p, (const uint8_t *)"nonsense", 8, &from);
	reply(p, data, 0, &from);
	memcpy(forged, data, (size_t)len);
	make_answer(forged, 2);
	forged[1] ^= 1; /* the id */
	reply(p, forged, len, &from);
	forged[1] ^= 1;
	forged[13] ^= 3; /* a letter of the name */
	reply(p, forged, len, &from);
	make_answer(data, 0);
	reply(p, data, len, &from);
}

static struct dns_question question(struct peer *p)
{
	return (struct dns_question){
		.server = &p->address, .name = "chat.example.", .type = LDNS_RR_TYPE_MX
	};
}

static void forgeries_do_not_count(void **state)
{
	struct peer p = open_peer();
	struct dns_question q = question(&p);

	start(&p, serve_forgeries);
	dns_ask(&q, 1);
	assert_int_equal(q.outcome, DNS_ANSWERED);
	assert_int_equal(ldns_pkt_get_rcode(q.answer), LDNS_RCODE_NOERROR);
	dns_questions_free(&q, 1);
	end(&p);
}

/* The first try is lost. */
static void serve_the_second(struct peer *p)
{
	struct sockaddr_in from;
	uint8_t data[QUERY_MAX];
	ssize_t len;

	receive(p, data, &from);
	len = receive(p, data, &from);
	make_answer(data, 0);
	reply(p, data, len, &from);
}

static void asks_again(void **state)
{
	struct peer p = open_peer();
	struct dns_question q = question(&p);

	start(&p, serve_the_second);
	dns_ask(&q, 1);
	assert_int_equal(q.outcome, DNS_ANSWERED);
	dns_questions_free(&q, 1);
	end(&p);
}

/* Truncated by UDP; by TCP a byte at a time. */
static void serve_by_tcp(struct peer *p)
{
	struct sockaddr_in from;
	uint8_t data[QUERY_MAX], head[2];
	ssize_t len = receive(p, data, &from);
	int fd;

	make_answer(data, 0);
	data[2] |= 2; /* TC */
	reply(p, data, len, &from);
	fd = accept(p->tcp, NULL, NULL);
	if (recv(fd, head, 2, MSG_WAITALL) != 2 ||
	    recv(fd, data, (size_t)len, MSG_WAITALL) != head[0] * 256 + head[1])
		_exit(1);
	make_answer(data, 3);
	send(fd, head, 1, 0);
	send(fd, head + 1, 1, 0);
	for (ssize_t i = 0; i < len; i++)
		send(fd, data + i, 1, 0);
	close(fd);
}

static void truncated_goes_to_tcp(void **state)
{
	struct peer p = open_peer();
	struct dns_question q = question(&p);

	assert_int_equal(listen(p.tcp, 1), 0);
	start(&p, serve_by_tcp);
	dns_ask(&q, 1);
	assert_int_equal(q.outcome, DNS_ANSWERED);
	assert_int_equal(ldns_pkt_get_rcode(q.answer), LDNS_RCODE_NXDOMAIN);
	dns_questions_free(&q, 1);
	end(&p);
}

/* Closes in the middle of its answer. */
static void serve_half(struct peer *p)
{
	struct sockaddr_in from;
	uint8_t data[QUERY_MAX];
	ssize_t len = receive(p, data, &from);
	int fd;

	make_answer(data, 0);
	data[2] |= 2;
	reply(p, data, len, &from);
	fd = accept(p->tcp, NULL, NULL);
	send(fd,
	    "\0\xff"
	    "half",
	    6, 0);
	close(fd);
}

static void half_an_answer_is_none(void **state)
{
	struct peer p = open_peer();
	struct dns_question q = question(&p);

	assert_int_equal(listen(p.tcp, 1), 0);
	start(&p, serve_half);
	dns_ask(&q, 1);
	assert_int_equal(q.outcome, DNS_SILENT);
	assert_null(q.answer);
	end(&p);
}

/* A server that takes everything and says nothing costs its time once. */
static void silence_is_bounded(void **state)
{
	struct dns_question q[300];
	struct peer p = open_peer();
	struct timespec from, to;

	assert_int_equal(listen(p.tcp, 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(q); i++)
		q[i] = question(&p);
	clock_gettime(CLOCK_MONOTONIC, &from);
	dns_ask(q, ARRAY_LEN(q));
	clock_gettime(CLOCK_MONOTONIC, &to);
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		assert_int_equal(q[i].outcome, DNS_SILENT);
		assert_null(q[i].answer);
	}
	/* What the header promises, and as much again for a busy machine. */
	assert_true(to.tv_sec - from.tv_sec <=
		    2 * (DNS_UDP_TRIES * DNS_UDP_TRY_MS + DNS_TCP_MS) / 1000);
	end(&p);
}

static void impossible_name(void **state)
{
	struct peer p = open_peer();
	struct dns_question q = question(&p);

	q.name = "a..example.";
	dns_ask(&q, 1);
	assert_int_equal(q.outcome, DNS_IMPOSSIBLE);
	end(&p);
}

int main(void)
{
	static const struct support_test tests[] = {
		{ SUPPORT_TEST(forgeries_do_not_count) },
		{ SUPPORT_TEST(asks_again) },
		{ SUPPORT_TEST(truncated_goes_to_tcp) },
		{ SUPPORT_TEST(half_an_answer_is_none) },
		{ SUPPORT_TEST(silence_is_bounded) },
		{ SUPPORT_TEST(impossible_name) },
	};

	return support_run("dns_ask", tests, ARRAY_LEN(tests));
}
