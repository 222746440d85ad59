/* What stands in a deployment's way. */
#include "deploy/preflight.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>

#include "deploy/preflight_impl.h"
#include "deploy/text.h"

#define MIB (INT64_C(1) << 20)

/* Less than this fails in the middle of a run, of the first one that brings all packages and
 * of those after it; less than enough will not last. */
#define DISK_MIN      (500 * MIB)
#define DISK_AGAIN    (50 * MIB)
#define DISK_ENOUGH   (3 * 1024 * MIB)
#define MEMORY_MIN    (400 * MIB)
#define MEMORY_ENOUGH (900 * MIB) /* a server of "1 GB" has a little less */

__attribute__((format(printf, 3, 0))) static void write_line(
    struct preflight *p, const char *prefix, const char *fmt, va_list ap)
{
	char *line;

	if (vasprintf(&line, fmt, ap) < 0)
		abort();
	fputs(prefix, p->out);
	text_write_visible(p->out, span_of(line), "");
	fputc('\n', p->out);
	free(line);
}

void preflight_hinder(struct preflight *p, const char *fmt, ...)
{
	va_list ap;

	p->hindrances++;
	va_start(ap, fmt);
	write_line(p, "", fmt, ap);
	va_end(ap);
}

void preflight_remark(struct preflight *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(p, "Note: ", fmt, ap);
	va_end(ap);
}

/* What a program of the server's said, below. */
static void write_words(struct preflight *p, struct span words)
{
	struct span line;

	while (words.len > 0 && span_cut(&words, '\n', &line)) {
		fputs("  ", p->out);
		text_write_visible(p->out, line, "");
		fputc('\n', p->out);
	}
}

static void check_system(struct preflight *p)
{
	const struct facts *f = p->facts;
	bool known =
	    strcmp(f->machine, "x86_64") == 0 || strcmp(f->machine, "aarch64") == 0;

	if (strcmp(f->os_id, "debian") != 0 || strcmp(f->os_version, "12") != 0)
		preflight_hinder(p,
		    "The server runs %s%s%s; a relay needs Debian 12 (bookworm).",
		    *f->os_id ? f->os_id : "an unknown system",
		    *f->os_version ? " " : "", f->os_version);
	if (!known)
		preflight_hinder(p,
		    "The server's processor is %s; the programs of a relay are there "
		    "for "
		    "x86_64 and aarch64.",
		    *f->machine ? f->machine : "unknown");
	else if (*f->deb_arch && strcmp(f->deb_arch, "amd64") != 0 &&
		 strcmp(f->deb_arch, "arm64") != 0)
		preflight_hinder(p,
		    "The server's Debian is of architecture %s; install it anew as %s.",
		    f->deb_arch, *f->machine == 'x' ? "amd64" : "arm64");
}

/* In parts it would be two relays, neither of them whole. */
static void check_python_relay(struct preflight *p, unsigned stages)
{
	if (p->facts->python_relay && stages != STAGE_ALL)
		preflight_hinder(p,
		    "A Python relay is on the server (%s); it is taken over by a whole "
		    "run only, without CMDEPLOY_STAGES and --website-only.",
		    p->facts->python_relay);
}

static void check_dovecot(struct preflight *p)
{
	const char *version = facts_other_dovecot(p->facts);

	if (version)
		preflight_remark(p,
		    "the server's Dovecot is %s, not Debian 12's; it is kept, and goes "
		    "without our plugin, which is built for that.",
		    version);
}

static void check_systemd(struct preflight *p)
{
	if (!p->facts->systemd)
		preflight_hinder(p,
		    "The server does not run systemd; a relay needs it, in a container "
		    "too.");
}

static void check_space(struct preflight *p)
{
	const struct facts *f = p->facts;
	int64_t wanted = p->config->min_free_disk_space;
	int64_t least = f->generation > 0 ? DISK_AGAIN : DISK_MIN;

	if (f->disk_free >= 0 && f->disk_free < least)
		preflight_hinder(p,
		    "The server's disk has only %lld MiB left, and needs %lld; make "
		    "room (apt-get clean, journalctl --vacuum-size=50M).",
		    (long long)(f->disk_free / MIB), (long long)(least / MIB));
	else if (f->disk_free >= 0 && f->disk_free < DISK_ENOUGH)
		preflight_remark(p,
		    "the server's disk has only %lld MiB left; mail will need more.",
		    (long long)(f->disk_free / MIB));
	if (f->home_free >= 0 && f->home_free / MIB < wanted)
		preflight_remark(p,
		    "/home has %lld MiB left, less than min_free_disk_space (%lld): no "
		    "account can be made.",
		    (long long)(f->home_free / MIB), (long long)wanted);
	if (f->memory >= 0 && f->memory < MEMORY_MIN)
		preflight_hinder(p,
		    "The server has %lld MiB of memory; a relay needs 1 GB.",
		    (long long)(f->memory / MIB));
	else if (f->memory >= 0 && f->memory < MEMORY_ENOUGH)
		preflight_remark(p,
		    "the server has %lld MiB of memory; 1 GB is advised.",
		    (long long)(f->memory / MIB));
}

static bool same_address(const char *a, const char *b)
{
	unsigned char raw_a[16], raw_b[16];

	if (inet_pton(AF_INET6, a, raw_a) == 1 && inet_pton(AF_INET6, b, raw_b) == 1)
		return memcmp(raw_a, raw_b, sizeof(raw_a)) == 0;
	return strcmp(a, b) == 0;
}

static bool has_address(const struct facts *f, const char *address)
{
	for (size_t i = 0; i < f->naddresses; i++) {
		if (same_address(f->addresses[i], address))
			return true;
	}
	return strcmp(address, "127.0.0.1") == 0 || same_address(address, "::1") ||
	       strcmp(address, "localhost") == 0;
}

static void check_addresses(struct preflight *p)
{
	const struct config *c = p->config;

	if (*c->mtail_address && !has_address(p->facts, c->mtail_address))
		preflight_hinder(p,
		    "mtail_address = %s is no address of the server; correct it in %s. "
		    "Is the VPN up?",
		    c->mtail_address, c->path);
	if (p->facts->no_ipv6 && !c->disable_ipv6)
		preflight_hinder(p,
		    "The server's kernel has no IPv6, and its services would not "
		    "start; set "
		    "disable_ipv6 = True in %s.",
		    c->path);
	else if (!p->facts->ipv6 && !c->disable_ipv6)
		preflight_remark(p,
		    "the server has no global IPv6 address; disable_ipv6 = True in %s "
		    "spares useless attempts.",
		    c->path);
}

/* The key of the endpoint of which an old key is the other form. */
static const char *newer_key(
    const struct config_option *options, size_t n, const struct config_option *old)
{
	for (size_t i = 0; i < n; i++) {
		if (options[i].type == CONFIG_ENDPOINT &&
		    options[i].field == old->field)
			return options[i].key;
	}
	return old->key;
}

/* Between Postfix and the filter, who can connect can send as anybody. */
static void check_filter_sockets(struct preflight *p)
{
	size_t n;
	const struct config_option *options = config_options(&n);
	struct text keys = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct endpoint *ep;

		if (options[i].type != CONFIG_PORT)
			continue;
		ep = (const void *)((const char *)p->config + options[i].field);
		if (ep->len > 0 && !endpoint_path(ep))
			text_printf(&keys, "%s%s (or %s)", keys.len ? ", " : "",
			    options[i].key, newer_key(options, n, &options[i]));
	}
	if (keys.len > 0)
		preflight_remark(p,
		    "%s in %s: ports of 127.0.0.1, by which any local user of the "
		    "server can send mail as anybody. Remove the lines, and UNIX "
		    "sockets with permissions are used.",
		    keys.data, p->config->path);
	text_free(&keys);
}

unsigned preflight(
    const struct config *config, const struct facts *facts, unsigned stages, FILE *out)
{
	struct preflight p = { .config = config, .facts = facts, .out = out };

	check_system(&p);
	check_python_relay(&p, stages);
	check_dovecot(&p);
	check_space(&p);
	if (stages & (STAGE_CONFIGURE | STAGE_ACTIVATE)) {
		check_systemd(&p);
		check_addresses(&p);
		check_filter_sockets(&p);
		preflight_ports(&p);
	}
	return p.hindrances;
}

/* Of which Debian has none. */
static bool is_missing(
    const struct wanted *w, const struct facts *f, const char *package)
{
	bool wanted = wanted_find(w, WANTED_PACKAGE, package, NULL) ||
		      wanted_find(w, WANTED_DEB, package, NULL);
	bool at_hand = wanted_find(w, WANTED_DEB, package, "all") ||
		       wanted_find(w, WANTED_DEB, package, f->deb_arch);

	return wanted && !at_hand && !facts_package(f, package);
}

unsigned preflight_packages(
    const struct wanted *wanted, const struct facts *facts, FILE *out)
{
	static const char *const ours[] = { "chatmaild", "chatmaild-dovecot-plugin" };
	struct preflight p = { .facts = facts, .out = out };
	struct text list = { 0 };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (i > 0 && facts_other_dovecot(facts))
			continue; /* the plugin is not for it */
		if (is_missing(wanted, facts, ours[i]))
			text_printf(&list, "%s%s", list.len ? ", " : "", ours[i]);
	}
	if (list.len > 0)
		preflight_hinder(&p,
		    "The server lacks %s, and no .deb files for %s are at hand: "
		    "build them (scripts/build-packages dist) and name their directory "
		    "by --packages, or install them there with apt.",
		    list.data, facts->deb_arch);
	text_free(&list);
	return p.hindrances;
}

unsigned preflight_states(
    const struct wanted *wanted, const struct facts *facts, FILE *out)
{
	struct preflight p = { .facts = facts, .out = out };
	size_t n, nstate = 0;
	const struct wanted_thing *list = wanted_list(wanted, &n);

	for (size_t i = 0; i < n && nstate < facts->nstates; i++) {
		const struct wanted_state *s = &list[i].state;

		if (list[i].kind != WANTED_STATE)
			continue;
		if (!facts->states[nstate] && *facts->whys[nstate] &&
		    strcmp(s->check, s->mend) == 0) {
			preflight_hinder(&p, "This is wanted: %s. But:", s->what);
			write_words(&p, span_of(facts->whys[nstate]));
		}
		nstate++;
	}
	return p.hindrances;
}

/* Whose words these are may publish them. */
static bool is_of_testrun(const char *domain)
{
	static const char own[] = "testrun.org";
	size_t len = strlen(domain), own_len = strlen(own);

	return len >= own_len && strcasecmp(domain + len - own_len, own) == 0 &&
	       (len == own_len || domain[len - own_len - 1] == '.');
}

unsigned preflight_config(const struct config *config, FILE *out)
{
	static const char *const names[] = { "merlinux", "schmieder", "testrun.org" };
	const struct {
		const char *key, *value;
	} texts[] = {
		{ "privacy_postal", config->privacy_postal },
		{ "privacy_mail", config->privacy_mail },
		{ "privacy_pdo", config->privacy_pdo },
		{ "privacy_supervisor", config->privacy_supervisor },
	};
	struct preflight p = { .config = config, .out = out };

	if (is_of_testrun(config->mail_domain_bare))
		return 0;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			if (!strcasestr(texts[i].value, names[k]))
				continue;
			preflight_hinder(&p,
			    "%s in %s names \"%s\", who is responsible for another "
			    "relay; write your own contact data there.",
			    texts[i].key, config->path, names[k]);
			break;
		}
	}
	return p.hindrances;
}
