/*
 * What the two halves of the ACME server share: requests and their answers in
 * acme_server.c, accounts and orders in orders.c.
 */
#ifndef TEST_ACME_ACME_SERVER_H
#define TEST_ACME_ACME_SERVER_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "test/acme/issuer.h"
#include "test/acme/jws.h"

#define TOKEN_SIZE   33 /* with the NUL */
#define URL_SIZE     300
#define PATH_SIZE    4096
#define NAME_SIZE    254
#define ERROR_SIZE   64
#define NONCES       256
#define ACCOUNTS_MAX 16
#define ORDERS_MAX   64
#define NAMES_MAX    8 /* of an order */

/* RFC 8555 section 7.1.6; what is the same for orders and authorizations is one. */
enum acme_status {
	ACME_PENDING,
	ACME_READY,
	ACME_PROCESSING,
	ACME_VALID,
	ACME_INVALID
};

struct account {
	json_t *jwk;
	EVP_PKEY *key;
	char *thumbprint;
};

/* A name that is to be shown to be the account's: authorization and challenge in one. */
struct authorization {
	struct acme *acme;
	const struct account *account;
	char name[NAME_SIZE];
	char token[TOKEN_SIZE];
	enum acme_status status;
	char error[ERROR_SIZE];          /* type, "" if there is none */
	struct evhttp_connection *check; /* owned; NULL until it is asked */
	bool asking;
};

struct order {
	const struct account *account;
	struct authorization names[NAMES_MAX];
	size_t nnames;
	char *chain; /* PEM, once it is there */
	bool refused;
};

struct acme {
	const char *dir, *address, *name, *terms;
	const char *check_address; /* NULL: what a name's address is */
	uint16_t port, check_port;
	char base[URL_SIZE]; /* https://NAME:PORT */
	char fail_path[PATH_SIZE];
	struct event_base *loop;
	struct issuer *issuer;
	SSL_CTX *tls;
	char nonces[NONCES][TOKEN_SIZE];
	size_t next_nonce;
	struct account accounts[ACCOUNTS_MAX];
	unsigned naccounts;
	struct order orders[ORDERS_MAX];
	unsigned norders;
};

struct request {
	struct acme *acme;
	struct evhttp_request *http;
	struct jws jws;
	unsigned number;         /* in the path */
	struct account *account; /* whose it is; NULL while it is made */
	EVP_PKEY *account_key;   /* of the one to be made */
	bool answered;
};

void random_token(char token[TOKEN_SIZE]);

/* Is trouble wanted, and of which type? */
bool failing(const struct acme *a, char type[ERROR_SIZE]);

/* A new problem document, RFC 8555 section 6.7. */
json_t *problem(const char *type, const char *detail);

/* Each request is answered once. */
void reply_text(struct request *r, int status, const char *type, const char *text);
void reply_json(struct request *r, int status, const char *location, json_t *body);
void reply_problem(struct request *r, int status, const char *type, const char *detail);

void post_new_account(struct request *r);
void post_account(struct request *r);
void post_new_order(struct request *r);
void post_order(struct request *r);
void post_authorization(struct request *r);
void post_challenge(struct request *r);
void post_finalize(struct request *r);
void post_certificate(struct request *r);
void orders_clear(struct acme *a);

#endif
