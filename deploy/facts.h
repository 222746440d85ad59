/*
 * What is so on a server: asked in one round trip, for the things that are wanted and for
 * what stands in a relay's way. The parser takes whatever bytes come back.
 */
#ifndef DEPLOY_FACTS_H
#define DEPLOY_FACTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "deploy/host.h"
#include "deploy/wanted.h"

#define FACTS_ERROR_MAX 1024
#define FACTS_PORTS_MAX 4096 /* rows; a server has some ten, further ones are dropped */

enum fact_file_type {
	FACT_NONE,
	FACT_REGULAR,
	FACT_DIRECTORY,
	FACT_SYMLINK,
	FACT_OTHER
};

struct fact_file { /* of a wanted path */
	const char *path;
	enum fact_file_type type;
	mode_t mode;
	const char *owner, *group;
	const char *sha256; /* of a regular file */
	const char *target; /* of a symlink */
};

struct fact_package { /* a wanted or unwanted one that is installed */
	const char *name;
	const char *version;
};

struct fact_unit { /* a wanted one, and any unit of the Python relay */
	const char *name;
	const char *load;    /* loaded, not-found, masked */
	const char *active;  /* active, inactive, failed, ... */
	const char *enabled; /* enabled, disabled, masked, static, ... or "" */
	bool stale;        /* the program that runs is gone from the disk, or another */
	bool needs_reload; /* daemon-reload */
};

struct fact_port {            /* one row for each program that has the socket */
	const char *protocol; /* tcp, udp */
	const char *address;  /* without brackets; with "%INTERFACE" if bound to one */
	uint16_t port;
	const char *process; /* its name, at most 15 bytes; "" if unknown */
};

/* Texts are never NULL: what is unknown is empty. */
struct facts {
	const char *os_id, *os_version; /* debian, 12 */
	const char *machine;            /* uname -m */
	const char *deb_arch;           /* dpkg --print-architecture */
	bool systemd;                   /* is PID 1 */
	bool container;
	bool apt_fresh;         /* package lists are there, and younger than a day */
	int64_t disk_free;      /* bytes on /, of /home below; -1: unknown */
	int64_t home_free;      /* the same as disk_free if there is no /home */
	int64_t memory;         /* bytes in all; -1: unknown */
	bool ipv6;              /* a global address is there */
	bool no_ipv6;           /* the kernel has none at all */
	const char **addresses; /* of the host, but loopback */
	size_t naddresses;
	const char *resolv; /* /etc/resolv.conf; a symlink: "-> TARGET" first */

	struct fact_package *packages; /* sorted by name */
	size_t npackages;
	const char **users, **groups; /* wanted ones that are there */
	size_t nusers, ngroups;
	const char **members; /* "user:group", wanted ones that are so */
	size_t nmembers;
	struct fact_file *files; /* one for each wanted path, sorted by it */
	size_t nfiles;
	struct fact_unit *units; /* sorted by name; unknown ones are "not-found" */
	size_t nunits;
	struct fact_port *ports; /* all that something listens on */
	size_t nports;
	bool ports_known;  /* else there is no ss(8), and ports is empty */
	bool *states;      /* of each WANTED_STATE, in order: is it so? */
	const char **whys; /* the same, if it is not: what its check says on stderr */
	size_t nstates;

	/* Effects that a broken run still owes, "restart UNIT" or "reload UNIT". */
	const char **pending;
	size_t npending;
	const char **missing; /* sha256 of what could not be fetched within a day */
	size_t nmissing;
	unsigned generation;      /* last that was applied whole; 0: none */
	const char *manifest;     /* its manifest (plan.h), "" if none */
	const char *python_relay; /* a unit of it that is there, or NULL */
	bool python_runs;         /* one is active or enabled */

	void *memory_pool; /* the facts' own: all of the above lies there */
};

/*
 * The script that asks, for these wanted things: for host_run(). It changes nothing. Package
 * lists count as fresh if the lists themselves or the file FACTS_APT_STAMP changed within a
 * day; whoever updates them touches it. Files of FACTS_MISSING are named by the hash of what
 * could not be fetched. The caller's to free().
 */
#define FACTS_APT_STAMP "/var/lib/cmdeploy/apt-updated"
#define FACTS_MISSING   "/var/lib/cmdeploy/missing"
char *facts_script(const struct wanted *w);

/*
 * Parse its output. NULL with what is wrong in error if it is not whole. The wanted list must
 * be the one of facts_script(); it is not needed afterwards.
 */
struct facts *facts_parse(
    const struct wanted *w, struct span output, char error[FACTS_ERROR_MAX]);
void facts_free(struct facts *f); /* accepts NULL */

/* NULL: not asked for, or, of packages, not installed. */
const struct fact_file *facts_file(const struct facts *f, const char *path);
const struct fact_package *facts_package(const struct facts *f, const char *name);
const struct fact_unit *facts_unit(const struct facts *f, const char *name);

/*
 * The version of a Dovecot that is not Debian 12's, for which our plugin is built; NULL if it
 * is, or none is there.
 */
const char *facts_other_dovecot(const struct facts *f);

#endif
