/*
 * Accounts, orders, authorizations and their challenges: RFC 8555 section 7.
 */
#include <ctype.h>
#include <stdlib.h>

#include "test/acme/acme_server.h"

#define CHECK_SECONDS 10 /* until a host that says nothing is given up */
#define CHALLENGE     "/.well-known/acme-challenge/"

static const char *const status_names[] = {
	[ACME_PENDING] = "pending",
	[ACME_READY] = "ready",
	[ACME_PROCESSING] = "processing",
	[ACME_VALID] = "valid",
	[ACME_INVALID] = "invalid",
};

static void account_url(const struct acme *a, unsigned n, char url[URL_SIZE + 40])
{
	snprintf(url, URL_SIZE + 40, "%s/account/%u", a->base, n);
}

static json_t *account_json(void)
{
	return json_pack("{s:s, s:b}", "status", "valid", "termsOfServiceAgreed", 1);
}

/* The number of the account with this key, or naccounts. */
static unsigned find_key(const struct acme *a, EVP_PKEY *key)
{
	unsigned i = 0;

	while (i < a->naccounts && EVP_PKEY_eq(a->accounts[i].key, key) != 1)
		i++;
	return i;
}

void post_new_account(struct request *r)
{
	struct acme *a = r->acme;
	unsigned n = find_key(a, r->account_key);
	const json_t *payload = r->jws.payload;
	struct account *account = &a->accounts[n];
	char url[URL_SIZE + 40];

	account_url(a, n, url);
	if (n < a->naccounts) {
		reply_json(r, 200, url, account_json());
		return;
	}
	if (json_is_true(json_object_get(payload, "onlyReturnExisting"))) {
		reply_problem(r, 400, "accountDoesNotExist", "there is none");
		return;
	}
	if (!json_is_true(json_object_get(payload, "termsOfServiceAgreed"))) {
		reply_problem(r, 403, "userActionRequired", "agree to the terms first");
		return;
	}
	if (n == ACCOUNTS_MAX) {
		reply_problem(r, 429, "rateLimited", "too many accounts");
		return;
	}
	account->jwk = json_incref(json_object_get(r->jws.header, "jwk"));
	account->key = r->account_key;
	account->thumbprint = jwk_thumbprint(account->jwk);
	r->account_key = NULL;
	a->naccounts++;
	reply_json(r, 201, url, account_json());
}

void post_account(struct request *r)
{
	if (r->number < r->acme->naccounts &&
	    r->account == &r->acme->accounts[r->number])
		reply_json(r, 200, NULL, account_json());
}

static enum acme_status order_status(const struct order *o)
{
	size_t valid = 0;

	if (o->chain)
		return ACME_VALID;
	if (o->refused)
		return ACME_INVALID;
	for (size_t i = 0; i < o->nnames; i++) {
		if (o->names[i].status == ACME_INVALID)
			return ACME_INVALID;
		valid += o->names[i].status == ACME_VALID;
	}
	return valid == o->nnames ? ACME_READY : ACME_PENDING;
}

static json_t *order_json(const struct acme *a, unsigned n)
{
	const struct order *o = &a->orders[n];
	json_t *names = json_array(), *authorizations = json_array(), *order;
	char url[URL_SIZE + 40];

	for (size_t i = 0; i < o->nnames; i++) {
		snprintf(url, sizeof(url), "%s/authorization/%zu", a->base,
		    n * NAMES_MAX + i);
		json_array_append_new(authorizations, json_string(url));
		json_array_append_new(names,
		    json_pack("{s:s, s:s}", "type", "dns", "value", o->names[i].name));
	}
	snprintf(url, sizeof(url), "%s/finalize/%u", a->base, n);
	order = json_pack("{s:s, s:o, s:o, s:s}", "status",
	    status_names[order_status(o)], "identifiers", names, "authorizations",
	    authorizations, "finalize", url);
	snprintf(url, sizeof(url), "%s/certificate/%u", a->base, n);
	if (o->chain)
		json_object_set_new(order, "certificate", json_string(url));
	return order;
}

static void reply_order(struct request *r, int status, unsigned n)
{
	char url[URL_SIZE + 40];

	snprintf(url, sizeof(url), "%s/order/%u", r->acme->base, n);
	reply_json(r, status, url, order_json(r->acme, n));
}

/* Only what may stand in a host name, for it goes into URLs and certificates. */
static bool is_host_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < NAME_SIZE &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

static bool add_names(struct request *r, struct order *o)
{
	const json_t *names = json_object_get(r->jws.payload, "identifiers");
	const char *name;

	for (size_t i = 0; i < json_array_size(names); i++) {
		struct authorization *z = &o->names[i];

		if (i == NAMES_MAX ||
		    json_unpack(json_array_get(names, i), "{s:s}", "value", &name) <
			0 ||
		    !is_host_name(name))
			return false;
		z->acme = r->acme;
		z->account = r->account;
		z->status = ACME_PENDING;
		snprintf(z->name, sizeof(z->name), "%s", name);
		random_token(z->token);
		o->nnames = i + 1;
	}
	return o->nnames > 0;
}

void post_new_order(struct request *r)
{
	struct acme *a = r->acme;
	char error[ERROR_SIZE];
	struct order *o = &a->orders[a->norders];

	if (a->norders == ORDERS_MAX ||
	    (failing(a, error) && strcmp(error, "rateLimited") == 0)) {
		reply_problem(r, 429, "rateLimited", "too many certificates already");
		return;
	}
	if (failing(a, error) && strcmp(error, "serverInternal") == 0) {
		remove(a->fail_path);
		reply_problem(r, 500, error, "the server is in trouble");
		return;
	}
	memset(o, 0, sizeof(*o));
	o->account = r->account;
	if (!add_names(r, o)) {
		reply_problem(r, 400, "rejectedIdentifier", "bad names");
		return;
	}
	reply_order(r, 201, a->norders++);
}

void post_order(struct request *r)
{
	if (r->number < r->acme->norders &&
	    r->acme->orders[r->number].account == r->account)
		reply_order(r, 200, r->number);
}

/* NULL if there is none, or it is another's. */
static struct authorization *find_authorization(const struct request *r)
{
	struct acme *a = r->acme;
	unsigned order = r->number / NAMES_MAX, name = r->number % NAMES_MAX;

	if (order >= a->norders || name >= a->orders[order].nnames ||
	    a->orders[order].account != r->account)
		return NULL;
	return &a->orders[order].names[name];
}

static json_t *challenge_json(const struct request *r, const struct authorization *z)
{
	json_t *c;
	char url[URL_SIZE + 40];

	snprintf(url, sizeof(url), "%s/challenge/%u", r->acme->base, r->number);
	c = json_pack("{s:s, s:s, s:s, s:s}", "type", "http-01", "url", url, "token",
	    z->token, "status", status_names[z->asking ? ACME_PROCESSING : z->status]);
	if (*z->error)
		json_object_set_new(c, "error",
		    problem(z->error, "the host did not show that the name is yours"));
	return c;
}

void post_authorization(struct request *r)
{
	struct authorization *z = find_authorization(r);

	if (z)
		reply_json(r, 200, NULL,
		    json_pack("{s:s, s:{s:s, s:s}, s:[o]}", "status",
			status_names[z->status], "identifier", "type", "dns", "value",
			z->name, "challenges", challenge_json(r, z)));
}

/* RFC 8555 section 8.3: token, dot, thumbprint; blanks after it do not count. */
static bool answers(const struct authorization *z, struct evhttp_request *http)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(http);
	const char *got = (const char *)evbuffer_pullup(in, -1);
	size_t len = evbuffer_get_length(in);
	char wanted[TOKEN_SIZE + 64];

	while (len > 0 && isspace((unsigned char)got[len - 1]))
		len--;
	snprintf(wanted, sizeof(wanted), "%s.%s", z->token, z->account->thumbprint);
	return len == strlen(wanted) && memcmp(got, wanted, len) == 0;
}

static void on_answer(struct evhttp_request *http, void *arg)
{
	struct authorization *z = arg;
	int status = http ? evhttp_request_get_response_code(http) : 0;

	z->asking = false;
	if (status == 200 && answers(z, http)) {
		z->status = ACME_VALID;
		return;
	}
	z->status = ACME_INVALID;
	snprintf(z->error, sizeof(z->error), "%s",
	    status == 0 ? "connection" : "unauthorized");
}

static void ask_host(struct authorization *z)
{
	struct acme *a = z->acme;
	struct evhttp_request *http = evhttp_request_new(on_answer, z);
	char path[sizeof(CHALLENGE) + TOKEN_SIZE];

	z->check = evhttp_connection_base_new(a->loop, NULL,
	    a->check_address ? a->check_address : z->name, a->check_port);
	if (!http || !z->check)
		abort();
	z->asking = true;
	evhttp_connection_set_timeout(z->check, CHECK_SECONDS);
	evhttp_add_header(evhttp_request_get_output_headers(http), "Host", z->name);
	snprintf(path, sizeof(path), CHALLENGE "%s", z->token);
	if (evhttp_make_request(z->check, http, EVHTTP_REQ_GET, path) < 0)
		abort();
}

void post_challenge(struct request *r)
{
	struct authorization *z = find_authorization(r);

	if (!z)
		return;
	if (z->status == ACME_PENDING && !z->asking) {
		if (failing(r->acme, z->error))
			z->status = ACME_INVALID;
		else
			ask_host(z);
	}
	reply_json(r, 200, NULL, challenge_json(r, z));
}

static char *sign(const struct request *r, const struct order *o)
{
	const char *names[NAMES_MAX], *csr;
	unsigned char *der = NULL;
	char *chain = NULL;
	size_t len = 0;

	for (size_t i = 0; i < o->nnames; i++)
		names[i] = o->names[i].name;
	if (json_unpack(r->jws.payload, "{s:s}", "csr", &csr) == 0)
		der = base64url_decode(csr, &len);
	if (der)
		chain = issuer_sign(r->acme->issuer, der, len, names, o->nnames);
	free(der);
	return chain;
}

void post_finalize(struct request *r)
{
	struct order *o;

	if (r->number >= r->acme->norders)
		return;
	o = &r->acme->orders[r->number];
	if (o->account != r->account || order_status(o) != ACME_READY) {
		reply_problem(r, 403, "orderNotReady", "names are not yet shown");
		return;
	}
	o->chain = sign(r, o);
	o->refused = !o->chain;
	if (o->refused)
		reply_problem(r, 400, "badCSR", "not for the names of the order");
	else
		reply_order(r, 200, r->number);
}

void post_certificate(struct request *r)
{
	const struct order *o = &r->acme->orders[r->number % ORDERS_MAX];

	if (r->number < r->acme->norders && o->account == r->account && o->chain)
		reply_text(r, 200, "application/pem-certificate-chain", o->chain);
}

void orders_clear(struct acme *a)
{
	for (unsigned i = 0; i < a->naccounts; i++) {
		json_decref(a->accounts[i].jwk);
		EVP_PKEY_free(a->accounts[i].key);
		free(a->accounts[i].thumbprint);
	}
	for (unsigned i = 0; i < a->norders; i++) {
		for (size_t n = 0; n < a->orders[i].nnames; n++) {
			if (a->orders[i].names[n].check)
				evhttp_connection_free(a->orders[i].names[n].check);
		}
		free(a->orders[i].chain);
	}
}
