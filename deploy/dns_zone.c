#include "deploy/dns_zone.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

#include "deploy/context.h"

#define TTL        3600 /* seconds */
#define STRING_MAX 255  /* bytes of one string of a TXT record: RFC 1035 section 3.3 */

/* Append a record without a value. The name is prefix followed by the domain. */
static struct dns_record *add(struct dns_zone *z, enum dns_kind kind, bool required,
    const char *prefix, const char *type)
{
	struct dns_record *r = &z->record[z->nrecords++];

	assert(z->nrecords <= DNS_RECORDS_MAX);
	*r = (struct dns_record){ .kind = kind, .required = required, .type = type };
	if (asprintf(&r->name, "%s%s", prefix, z->domain) < 0)
		abort();
	return r;
}

__attribute__((format(printf, 2, 3))) static void set_value(
    struct dns_record *r, const char *fmt, ...)
{
	va_list ap;

	assert(r->nvalues < DNS_ADDRESSES_MAX);
	va_start(ap, fmt);
	if (vasprintf(&r->value[r->nvalues++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

static void add_addresses(
    struct dns_zone *z, const char *type, char *const *list, size_t n, bool private)
{
	struct dns_record *r;

	if (n == 0) {
		add(z, DNS_NO_ADDRESS, false, "", type);
		return;
	}
	r = add(z, DNS_ADDRESS, true, "", type);
	if (private)
		r->note =
		    "a private address: behind NAT, publish the one that others see";
	for (size_t i = 0; i < n; i++)
		set_value(r, "%s", list[i]);
}

static const char *host_default(const char *name)
{
	const struct host_variable *v;
	size_t n;

	v = host_variables(&n);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].name, name) == 0)
			return v[i].fallback;
	}
	abort();
}

/* text in strings of at most STRING_MAX bytes. */
static char *split_strings(const char *text)
{
	struct text t = { 0 };

	for (size_t len = strlen(text); len > 0;) {
		size_t n = len < STRING_MAX ? len : STRING_MAX;

		text_printf(&t, "%s\"%.*s\"", t.len ? " " : "", (int)n, text);
		text += n;
		len -= n;
	}
	return text_take(&t);
}

static void add_dkim(struct dns_zone *z, const char *key)
{
	char *prefix, *text;
	struct dns_record *r;

	if (asprintf(&prefix, "%s._domainkey.", host_default("dkim_selector")) < 0 ||
	    asprintf(&text, "v=DKIM1;k=rsa;p=%s;s=email;t=s", key) < 0)
		abort();
	r = add(z, DNS_DKIM, true, prefix, "TXT");
	r->value[r->nvalues++] = split_strings(text);
	free(prefix);
	free(text);
}

static void add_recommended(struct dns_zone *z, const struct dns_server *server)
{
	static const struct {
		const char *prefix;
		unsigned port;
	} services[] = {
		{ "_submission._tcp.", 587 },
		{ "_submissions._tcp.", 465 },
		{ "_imap._tcp.", 143 },
		{ "_imaps._tcp.", 993 },
	};

	set_value(add(z, DNS_SPF, false, "", "TXT"), "\"v=spf1 a ~all\"");
	set_value(add(z, DNS_DMARC, false, "_dmarc.", "TXT"),
	    "\"v=DMARC1;p=reject;adkim=s;aspf=s\"");
	if (server->acme_account)
		set_value(add(z, DNS_CAA, false, "", "CAA"),
		    "0 issue \"letsencrypt.org;accounturi=%s\"", server->acme_account);
	set_value(add(z, DNS_ADSP, false, "_adsp._domainkey.", "TXT"),
	    "\"dkim=discardable\"");
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		set_value(add(z, DNS_SRV, false, services[i].prefix, "SRV"),
		    "0 1 %u %s", services[i].port, z->domain);
}

static void init(struct dns_zone *z, const struct config *config)
{
	assert(!config->ipv4_relay);
	*z = (struct dns_zone){ 0 };
	if (asprintf(&z->domain, "%s.", config->mail_domain) < 0)
		abort();
	for (char *p = z->domain; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

void dns_zone_init(struct dns_zone *z, const struct config *config,
    const struct dns_server *server, const char *sts_id)
{
	init(z, config);
	z->v4_private = server->v4_private;
	z->v6_private = server->v6_private;
	if (server->nv4 + server->nv6 == 0) {
		add(z, DNS_ANY_ADDRESS, true, "", "A");
	} else {
		add_addresses(z, "A", server->v4, server->nv4, server->v4_private);
		add_addresses(z, "AAAA", server->v6, server->nv6, server->v6_private);
	}
	set_value(add(z, DNS_MX, true, "", "MX"), "10 %s", z->domain);
	if (config->tls_mode == TLS_ACME) {
		set_value(add(z, DNS_STS, true, "_mta-sts.", "TXT"),
		    "\"v=STSv1; id=%s\"", sts_id);
		set_value(
		    add(z, DNS_ALIAS, true, "mta-sts.", "CNAME"), "%s", z->domain);
	}
	set_value(add(z, DNS_ALIAS, true, "www.", "CNAME"), "%s", z->domain);
	if (server->dkim_key)
		add_dkim(z, server->dkim_key);
	add_recommended(z, server);
}

void dns_zone_init_precheck(struct dns_zone *z, const struct config *config)
{
	init(z, config);
	add(z, DNS_ANY_ADDRESS, true, "", "A");
	if (config->tls_mode == TLS_ACME) {
		set_value(
		    add(z, DNS_ALIAS, true, "mta-sts.", "CNAME"), "%s", z->domain);
		set_value(add(z, DNS_ALIAS, true, "www.", "CNAME"), "%s", z->domain);
	}
}

void dns_zone_deinit(struct dns_zone *z)
{
	for (size_t i = 0; i < z->nrecords; i++) {
		free(z->record[i].name);
		for (size_t k = 0; k < z->record[i].nvalues; k++)
			free(z->record[i].value[k]);
	}
	free(z->domain);
	*z = (struct dns_zone){ 0 };
}

void dns_sts_id(char id[DNS_STS_ID_SIZE], time_t now)
{
	struct tm tm;

	if (!gmtime_r(&now, &tm) ||
	    strftime(id, DNS_STS_ID_SIZE, "%Y%m%d%H%M", &tm) == 0)
		abort();
}

void dns_record_print(const struct dns_record *r, FILE *out)
{
	if (r->kind == DNS_NO_ADDRESS)
		return;
	if (r->nvalues == 0)
		fprintf(out, "; %s %s: the public address of the server\n", r->name,
		    r->type);
	if (r->note)
		fprintf(out, "; %s\n", r->note);
	for (size_t i = 0; i < r->nvalues; i++)
		fprintf(
		    out, "%-40s %-6d IN %-5s %s\n", r->name, TTL, r->type, r->value[i]);
}

void dns_zone_print(const struct dns_zone *z, FILE *out)
{
	bool recommended = false;

	fputs("; Required\n", out);
	for (size_t i = 0; i < z->nrecords; i++) {
		const struct dns_record *r = &z->record[i];

		if (!r->required && !recommended && r->kind != DNS_NO_ADDRESS) {
			fputs("\n; Recommended\n", out);
			recommended = true;
		}
		dns_record_print(r, out);
	}
}

char *dns_record_unsplit(const struct dns_record *r)
{
	const char *at = r->value[0];
	struct text t = { 0 };

	/* What stands between two strings is the only such sequence: none holds a quote. */
	for (const char *gap; (gap = strstr(at, "\" \"")); at = gap + 3)
		text_add_span(&t, span_make(at, (size_t)(gap - at)));
	text_add(&t, at);
	return text_take(&t);
}
