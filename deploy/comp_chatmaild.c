/*
 * chatmaild: its packages, the operator's ini, and what its units must know of this relay.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "deploy/component.h"

#define UNIT    "chatmaild.service"
#define DEB_MAX (64 << 20) /* bytes */

static const struct package {
	const char *name;
	struct effects effects;
} packages[] = {
	{ "chatmaild", { .restart = UNIT } },
	/* It sees to Dovecot itself, which while it reloads refuses a login at times. */
	{ .name = "chatmaild-dovecot-plugin" },
};
#define NPACKAGES (sizeof(packages) / sizeof(packages[0]))

/* The sockets that systemd holds for the daemon, where the package has them. */
static const struct {
	const char *unit, *directory;
	size_t endpoint; /* in struct config */
} sockets[] = {
	{ "chatmaild.socket", "unix:/run/chatmaild/",
	    offsetof(struct config, auth_socket) },
	{ "chatmaild.socket", "unix:/run/chatmaild/",
	    offsetof(struct config, lastlogin_socket) },
	{ "chatmaild.socket", "unix:/run/chatmaild/",
	    offsetof(struct config, metadata_socket) },
	{ "chatmaild-filter.socket", "unix:/var/spool/postfix/chatmaild/",
	    offsetof(struct config, filter_incoming_socket) },
	{ "chatmaild-filter.socket", "unix:/var/spool/postfix/chatmaild/",
	    offsetof(struct config, filter_outgoing_socket) },
	{ "chatmaild-http.socket", "unix:/run/chatmaild/",
	    offsetof(struct config, http_socket) },
};

static const char *const socket_units[] = {
	"chatmaild.socket",
	"chatmaild-filter.socket",
	"chatmaild-http.socket",
};

/* Parts of a file name NAME_VERSION_ARCH.deb; none of them has a "_" in it. */
struct deb_name {
	struct span name, version, arch;
};

static bool parse_deb_name(struct deb_name *d, const char *file)
{
	static const char end[] = ".deb";
	struct span *const parts[] = { &d->name, &d->version, &d->arch };
	size_t len = strlen(file);

	if (len < sizeof(end) || strcmp(file + len - strlen(end), end) != 0)
		return false;
	len -= strlen(end);
	for (size_t i = 0; i < 3; i++) {
		const char *stop = memchr(file, '_', len);
		size_t n = stop ? (size_t)(stop - file) : len;

		if ((stop != NULL) != (i < 2) || n == 0)
			return false;
		*parts[i] = span_make(file, n);
		file += n + 1;
		len -= stop ? n + 1 : n;
	}
	return true;
}

static char *copy(struct span s)
{
	char *text = span_dup(s);

	if (!text)
		abort();
	return text;
}

static const struct package *find_package(struct span name)
{
	for (size_t i = 0; i < NPACKAGES; i++) {
		if (span_is(name, packages[i].name))
			return &packages[i];
	}
	return NULL;
}

/* want_deb() of a file; false with a line in r->error. */
static bool want_file_of(
    struct relay *r, struct wanted *w, const struct package *p, struct wanted_deb *deb)
{
	char sha256[WANTED_SHA256_SIZE], *data;
	size_t len;

	if (wanted_find(w, WANTED_DEB, p->name, deb->arch))
		return component_fail(r,
		    "%s: another version of the package lies beside it: remove one",
		    deb->path);
	data = component_read(r, deb->path, DEB_MAX, &len);
	if (!data)
		return false;
	wanted_sha256(span_make(data, len), sha256);
	free(data);
	deb->name = p->name;
	deb->effects = p->effects;
	deb->sha256 = sha256;
	want_deb(w, deb);
	return true;
}

/* Passes over what is none of our packages. */
static bool want_deb_file(struct relay *r, struct wanted *w, const char *file)
{
	char *path, *version, *arch;
	const struct package *p = NULL;
	struct deb_name name;
	bool good;

	if (parse_deb_name(&name, file))
		p = find_package(name.name);
	if (!p)
		return true;
	if (asprintf(&path, "%s/%s", r->packages, file) < 0)
		abort();
	version = copy(name.version);
	arch = copy(name.arch);
	good = want_file_of(r, w, p,
	    &(struct wanted_deb){ .path = path, .version = version, .arch = arch });
	free(path);
	free(version);
	free(arch);
	return good;
}

/* For each processor there is a file of; the server's is chosen later. */
static bool want_debs(struct relay *r, struct wanted *w)
{
	struct dirent **list;
	int n = scandir(r->packages, &list, NULL, alphasort);
	bool good = true;

	if (n < 0)
		return component_fail(r, "%s: %s", r->packages, strerror(errno));
	for (int i = 0; i < n; i++) {
		good = good && want_deb_file(r, w, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	for (size_t i = 0; good && i < NPACKAGES; i++) {
		if (!wanted_find(w, WANTED_DEB, packages[i].name, NULL))
			good = component_fail(r, "%s: there is no %s_*.deb",
			    r->packages, packages[i].name);
	}
	return good;
}

static bool want_packages(struct relay *r, struct wanted *w)
{
	if (r->packages)
		return want_debs(r, w);
	for (size_t i = 0; i < NPACKAGES; i++)
		want_package(w, packages[i].name);
	return true;
}

/* The operator's file as it is, comments and all. What it says of secrets is the daemon's
 * alone, and no plan shows it. */
static bool want_ini(struct relay *r, struct wanted *w)
{
	struct wanted_file file = {
		.path = CONFIG_PATH,
		.owner = "root",
		.group = "vmail",
		.mode = 0640,
		.flags = *r->config->turn_secret ? FILE_SECRET : 0,
		.effects = { .restart = UNIT },
	};
	char *text = component_read(r, r->config->path, CONFIG_FILE_MAX, &file.len);

	if (!text)
		return false;
	file.content = text;
	want_file(w, &file);
	free(text);
	return true;
}

/* A unit whose sockets the config has all elsewhere would hold what nobody serves, and
 * start the daemon for it. */
static void want_socket_unit(
    const struct config *config, struct wanted *w, const char *unit)
{
	enum unit_state state = UNIT_MASKED;

	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		const char *directory = sockets[i].directory;
		const struct endpoint *ep =
		    (const void *)((const char *)config + sockets[i].endpoint);

		if (strcmp(sockets[i].unit, unit) == 0 &&
		    strncmp(ep->text, directory, strlen(directory)) == 0)
			state = UNIT_RUNNING;
	}
	want_unit(w, unit, state);
}

static bool want(struct relay *r, struct wanted *w)
{
	static const struct component_file drop_in = {
		.path = "/etc/systemd/system/chatmaild.service.d/relay.conf",
		.effects = { .restart = UNIT },
	};
	const struct config *config = r->config;

	if (strcmp(config->mail_user, "vmail") != 0)
		return component_fail(r,
		    "mail_user = %s: the packages run as vmail; remove the key",
		    config->mail_user);
	if (!want_packages(r, w))
		return false;
	want_directory(w, config->mailboxes_dir, "vmail", "vmail", 0700);
	want_directory(w, config->state_dir, "vmail", "vmail", 0700);
	want_check(
	    w, "chatmaild --check-config", "chatmaild --check-config -c " CONFIG_PATH);
	if (!want_ini(r, w) || !component_file(r, w, "chatmaild", &drop_in))
		return false;
	for (size_t i = 0; i < sizeof(socket_units) / sizeof(socket_units[0]); i++)
		want_socket_unit(config, w, socket_units[i]);
	want_unit(w, UNIT, UNIT_RUNNING);
	return true;
}

const struct component chatmaild_component = { "chatmaild", want };
