/*
 * The wanted state of a server: a list of things that shall be so, made by the components
 * from the configuration alone. What is so already is found out later (facts.h), and the
 * difference is the plan (plan.h). All strings are copied.
 *
 * Things are done in three passes over the components in their order, as the stages tell:
 * INSTALL is the same on every relay and needs no running systemd; CONFIGURE writes files;
 * ACTIVATE starts, restarts, stops.
 */
#ifndef DEPLOY_WANTED_H
#define DEPLOY_WANTED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto/span.h"

enum stage {
	STAGE_INSTALL = 1,
	STAGE_CONFIGURE = 2,
	STAGE_ACTIVATE = 4,
	STAGE_ALL = 7
};

/* What follows when a thing changed: names of units, separated by blanks; "" or NULL: none.
 * A unit that is both restarted and reloaded is restarted; one that is wanted stopped is
 * neither. */
struct effects {
	const char *restart;
	const char *reload; /* reloaded if it can be, else restarted */
};

struct wanted_package { /* of Debian, by apt */
	char *name;
};

struct wanted_deb {    /* of ours: a .deb on this machine */
	char *name;    /* chatmaild */
	char *path;    /* the file here */
	char *version; /* of the file */
	char *arch;    /* amd64, arm64, all */
	char *sha256;  /* of the file, hex */
	struct effects effects;
};

struct wanted_group {
	char *name;
};

struct wanted_user { /* a system user without login */
	char *name;
	char *group; /* primary, must be wanted or there */
	char *home;
};

struct wanted_member {
	char *user;
	char *group;
};

struct wanted_directory {
	char *path;
	char *owner, *group;
	mode_t mode;
};

enum {
	FILE_KEEP = 1,   /* written only if there is none */
	FILE_SECRET = 2, /* its text is not shown in the plan */
};

struct wanted_file {
	char *path;
	char *content;
	size_t len;
	char *owner, *group;
	mode_t mode;
	unsigned flags;
	struct effects effects;
};

struct wanted_absent { /* file, symlink or directory (with all below it) */
	char *path;
};

struct wanted_no_package { /* removed if installed; its configuration stays */
	char *name;
};

/*
 * Anything else that is found out by one command and mended by another, for instance a key
 * that is made once. Both are scripts for "sh -eu", run as root on the server.
 */
struct wanted_state {
	char
	    *what; /* "DKIM key /etc/dkimkeys/opendkim.private": for the plan, a line */
	char *check; /* exits 0 if it is so; writes nothing; cheap, no network */
	char *mend;  /* makes it so; said on stderr: what the operator shall read */
	enum stage stage;
	struct effects effects;
};

/* A file from the net, or out of the operator's directory of binaries (--binaries). */
struct wanted_binary {
	char *path; /* on the server, mode 0755 root */
	char *
	    arch; /* uname -m: x86_64, aarch64; that of another machine is passed over */
	char *url;
	char *member; /* within the .tar.gz, or NULL: the file itself */
	char *sha256; /* of the installed file, hex */
	struct effects effects;
};

enum unit_state {
	UNIT_RUNNING, /* enabled and started */
	UNIT_STOPPED, /* disabled and stopped; nothing if there is no such unit */
	UNIT_MASKED,  /* stopped and masked */
	UNIT_PRESENT, /* known to systemd; enabled, started and stopped by others */
};

struct wanted_unit {
	char *name; /* "dovecot.service" */
	enum unit_state state;
};

/* The checker of a component's configuration: a script that exits 0 if it is sound, run
 * on the server where the new files of the component stand in for the old ones. */
struct wanted_check {
	char *what; /* "postfix check" */
	char *script;
};

enum wanted_kind {
	WANTED_PACKAGE,
	WANTED_NO_PACKAGE,
	WANTED_DEB,
	WANTED_GROUP,
	WANTED_USER,
	WANTED_MEMBER,
	WANTED_BINARY,
	WANTED_ABSENT,
	WANTED_DIRECTORY,
	WANTED_FILE,
	WANTED_STATE,
	WANTED_CHECK,
	WANTED_UNIT,
};

struct wanted_thing {
	enum wanted_kind kind;
	const char *component; /* name of who wants it */
	union {
		struct wanted_package package;
		struct wanted_no_package no_package;
		struct wanted_deb deb;
		struct wanted_group group;
		struct wanted_user user;
		struct wanted_member member;
		struct wanted_binary binary;
		struct wanted_absent absent;
		struct wanted_directory directory;
		struct wanted_file file;
		struct wanted_state state;
		struct wanted_check check;
		struct wanted_unit unit;
	};
};

struct wanted;

struct wanted *wanted_create(void);
void wanted_free(struct wanted *w);
const struct wanted_thing *wanted_list(
    const struct wanted *w, size_t *n); /* in order */

/* Names what is added next; kept by pointer. */
void wanted_component(struct wanted *w, const char *component);

/* The same package, group or directory may be wanted by several components; other than that
 * a thing wanted twice in different ways is a mistake of ours: abort(). */
void want_package(struct wanted *w, const char *name);
void want_no_package(struct wanted *w, const char *name);
void want_deb(struct wanted *w, const struct wanted_deb *deb);
void want_group(struct wanted *w, const char *name);
void want_user(struct wanted *w, const char *name, const char *group, const char *home);
void want_member(struct wanted *w, const char *user, const char *group);
void want_binary(struct wanted *w, const struct wanted_binary *binary);
void want_absent(struct wanted *w, const char *path);
void want_directory(struct wanted *w, const char *path, const char *owner,
    const char *group, mode_t mode);
void want_file(struct wanted *w, const struct wanted_file *file);
void want_state(struct wanted *w, const struct wanted_state *state);
void want_check(struct wanted *w, const char *what, const char *script);
void want_unit(struct wanted *w, const char *name, enum unit_state state);

#endif
