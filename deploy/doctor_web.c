#include "deploy/doctor_web.h"

#include <stdio.h>

#include "deploy/dial.h"

unsigned doctor_http_code(struct span line)
{
	const char *p = line.data;
	unsigned code = 0;

	if (line.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[8] != ' ')
		return 0;
	for (size_t i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return 0;
		code = code * 10 + (unsigned)(p[i] - '0');
	}
	return line.len == 12 || p[12] == ' ' ? code : 0;
}

/* Ask for a page; its code, or 0 with why. */
static unsigned fetch(const struct config *c, const char *address, const char *request,
    char why[DIAL_ERROR_MAX])
{
	const struct dial_target target = {
		.host = address,
		.port = 443,
		.tls = DIAL_FROM_START,
		.name = c->mail_domain_bare,
		.any_certificate = true, /* it is judged elsewhere */
	};
	struct dial *dial = dial_open(&target, DOCTOR_WEB_MS);
	struct span line;
	unsigned code = 0;
	char *whole;

	if (asprintf(&whole,
		"%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n"
		"Connection: close\r\n\r\n",
		request, c->mail_domain_bare) < 0)
		abort();
	if (dial_write(dial, span_of(whole)) && dial_line(dial, &line))
		code = doctor_http_code(line);
	snprintf(why, DIAL_ERROR_MAX, "%s",
	    dial_error(dial) ? dial_error(dial) : "no answer of HTTP");
	free(whole);
	dial_close(dial);
	return code;
}

/* What is asked for, and what it means if the answer is another. */
struct page {
	const char *key, *request;
	unsigned code;
	const char *trouble, *remedy;
};

static void try_page(struct doctor *d, const struct config *c, const char *address,
    const struct page *page)
{
	char why[DIAL_ERROR_MAX];
	unsigned code = fetch(c, address, page->request, why);

	if (code == page->code)
		doctor_note(
		    d, DOCTOR_SOUND, page->key, NULL, "%s: %u", page->request, code);
	else if (code == 0)
		doctor_note(d, DOCTOR_TROUBLE, page->key, page->remedy, "%s: %s",
		    page->trouble, why);
	else
		doctor_note(d, DOCTOR_TROUBLE, page->key, page->remedy,
		    "%s: %s is answered by %u", page->trouble, page->request, code);
}

void doctor_try_web(
    struct doctor *d, const struct config *config, const char *address, bool open)
{
	static const struct page site = { "web site", "GET /", 200,
		"there is no web site", "see journalctl -u nginx, then cmdeploy run" };
	static const struct page new = { "web new", "POST /new", 200,
		"nobody gets a new address",
		"see journalctl -u chatmaild and -u nginx, then cmdeploy run" };
	static const struct page iroh = { "iroh", "GET /generate_204", 204,
		"the relay between devices does not answer",
		"see journalctl -u iroh-relay, then systemctl restart iroh-relay" };

	try_page(d, config, address, &site);
	if (open)
		try_page(d, config, address, &new);
	if (config->iroh == IROH_LOCAL)
		try_page(d, config, address, &iroh);
}
