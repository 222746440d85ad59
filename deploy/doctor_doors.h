/*
 * A relay's ports as they look from outside: whether they open, who answers, and with which
 * certificate. All of them at once, each in a thread.
 */
#ifndef DEPLOY_DOCTOR_DOORS_H
#define DEPLOY_DOCTOR_DOORS_H

#include <netinet/in.h>
#include <stdint.h>

#include "chatmaild/config.h"
#include "deploy/dial.h"
#include "deploy/doctor.h"
#include "deploy/facts.h"

#define DOOR_MS        10000 /* for one of them, whatever it has to say */
#define DOOR_ADDRESSES 4     /* of the relay; more are passed over */
#define DOOR_PORTS     7
#define DOORS_MAX      (DOOR_ADDRESSES * DOOR_PORTS)
#define DOOR_CHAIN_MAX 8 /* certificates of a chain that are looked at */
#define DOOR_HASH_SIZE 65
#define DOOR_CERT_TEXT 128

enum door_protocol {
	DOOR_HTTP, /* port 80: any answer is good */
	DOOR_HTTPS,
	DOOR_SMTP, /* with STARTTLS */
	DOOR_SMTPS,
	DOOR_IMAP, /* with STARTTLS */
	DOOR_IMAPS,
};

/* What came with TLS. */
struct door_certificate {
	char sha256[DOOR_HASH_SIZE]; /* of the certificate, hex; "": there was none */
	char key[DOOR_HASH_SIZE];    /* of its public key */
	char issuer[DOOR_CERT_TEXT];
	int64_t ends; /* seconds since 1970 */
	int64_t begins;
	size_t length; /* of the chain as it was sent */
	bool self_signed;
	bool name_fits; /* is the domain one of its names? */
	bool trusted;   /* by this machine's authorities, name and time aside */
};

struct door {
	uint16_t port;
	enum door_protocol protocol;
	char address[INET6_ADDRSTRLEN];

	/* Set by doors_knock(). */
	enum dial_failure failure;
	char error[DIAL_ERROR_MAX];
	struct door_certificate certificate;
};

struct doors {
	const char *domain; /* borrowed */
	struct door door[DOORS_MAX];
	size_t n;
};

/* Every port of a relay at each of these addresses. */
void doors_init(struct doors *doors, const char *domain,
    char (*addresses)[INET6_ADDRSTRLEN], size_t naddresses);

/* Knock at all of them: begin, and wait for the end, at most some DOOR_MS. */
struct doors_knocking *doors_knock(struct doors *doors);
void doors_wait(struct doors_knocking *k);

/* The address at which a port answered; NULL: nowhere. */
const char *doors_address(const struct doors *doors, uint16_t port);

/* What one connection with TLS showed. */
void door_read_certificate(struct door_certificate *c, SSL *ssl, const char *domain);

/* What another host saw of them: "open ADDRESS PORT" or "closed ADDRESS PORT", a line each. */
struct doors_elsewhere {
	const char *host; /* its name; NULL: there is none */
	struct span said;
};

/* The script for such a host, free()d by the caller. */
char *doors_script(const struct doors *doors);

/*
 * What it means. out_25_works: other hosts' port 25 is reached from this machine; -1: not
 * known. f may be NULL.
 */
void doors_judge(struct doctor *d, const struct doors *doors, const struct facts *f,
    const struct doors_elsewhere *elsewhere, int out_25_works);

/* The certificates, against each other and against the server's file. output: of
 * doctor_server_script(). */
void doors_judge_tls(struct doctor *d, const struct doors *doors,
    const struct config *config, struct span output, int64_t now);

#endif
