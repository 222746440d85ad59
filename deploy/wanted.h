/*
 * The wanted state of a server: a list of things that shall be so, made by the components
 * from the configuration alone. What is so already is found out later (facts.h), and the
 * difference is the plan (plan.h). All strings are copied, NULL where it may be NULL.
 *
 * Things are done in three passes over the components in their order, as the stages tell:
 * INSTALL is the same on every relay and needs no running systemd; CONFIGURE writes files;
 * ACTIVATE starts, restarts, stops. Within a component CONFIGURE does, in this order:
 * directories; states that stand before its first file; its checks, with the new files in
 * place of the old ones for nobody but the checkers; absent things and files; the other
 * states. ACTIVATE does states and units as they stand in the list. INSTALL does a state
 * that stands behind a package of its component after all packages, any other before.
 *
 * A component that wants nothing at all leaves what it once had as it is.
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
	const char *name;
};

/* Of ours: a .deb on this machine; with path NULL on the server, in packages/. */
struct wanted_deb {
	const char *name;    /* chatmaild */
	const char *path;    /* the file here */
	const char *version; /* of the file */
	const char *arch;    /* amd64, arm64, all */
	const char *sha256;  /* of the file, hex */
	struct effects effects;
};

struct wanted_group {
	const char *name;
};

struct wanted_user { /* a system user without login */
	const char *name;
	const char *group; /* primary, must be wanted or there */
	const char *home;
};

struct wanted_member {
	const char *user;
	const char *group;
};

struct wanted_directory {
	const char *path;
	const char *owner, *group; /* NULL: root */
	mode_t mode;
};

enum {
	FILE_KEEP = 1,   /* written only if there is none */
	FILE_SECRET = 2, /* its text is not shown in the plan */
};

struct wanted_file {
	const char *path;
	const char *content; /* NULL: on the server, in blobs/SHA256 */
	size_t len;
	const char *sha256; /* hex; want_file() finds it out if there is content */
	const char *owner, *group; /* NULL: root */
	mode_t mode;
	unsigned flags;
	struct effects effects;
};

struct wanted_absent { /* file, symlink or directory (with all below it) */
	const char *path;
};

struct wanted_no_package { /* removed if installed; its configuration stays */
	const char *name;
};

/*
 * Anything else that is found out by one command and mended by another, for instance a key
 * that is made once. Both are scripts for "sh -eu", run as root on the server.
 */
struct wanted_state {
	const char *what;  /* for the plan: "DKIM key /etc/dkimkeys/x.private" */
	const char *check; /* exits 0 if it is so; writes nothing; cheap, no network */
	const char *mend;  /* makes it so; "@note TEXT" on stderr is told */
	enum stage stage;
	struct effects effects;
};

/* A file from the net, or out of the operator's directory of binaries (--binaries). */
struct wanted_binary {
	const char *path; /* on the server, mode 0755 root */
	const char *arch; /* uname -m: x86_64, aarch64; else it is passed over */
	const char *url;
	const char *member; /* within the .tar.gz, or NULL: the file itself */
	const char *sha256; /* of the installed file, hex */
	unsigned optional;  /* 1: a server that cannot get it goes without, told so */
	struct effects effects;
};

enum unit_state {
	UNIT_RUNNING, /* enabled and started */
	UNIT_STOPPED, /* disabled and stopped; nothing if there is no such unit */
	UNIT_MASKED,  /* stopped and masked */
	UNIT_PRESENT, /* known to systemd; enabled, started and stopped by others */
};

struct wanted_unit {
	const char *name; /* "dovecot.service" */
	enum unit_state state;
};

/* The checker of a component's configuration: a script that exits 0 if it is sound, run
 * on the server where the new files of the component stand in for the old ones. */
struct wanted_check {
	const char *what; /* "postfix check" */
	const char *script;
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
	WANTED_KINDS /* how many there are */
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

/*
 * Where a kind keeps its texts and numbers, for code that treats all kinds alike. Offsets
 * are from the start of struct wanted_thing; what is there is a const char *, or a number of
 * the size of unsigned.
 */
#define WANTED_TEXTS_MAX 8
struct wanted_shape {
	const char *name; /* "file" */
	unsigned ntexts;
	unsigned nkeys; /* so many of the texts tell one from another; 0: nothing */
	size_t texts[WANTED_TEXTS_MAX];
	unsigned nnumbers;
	size_t numbers[2];
};
extern const struct wanted_shape wanted_shapes[WANTED_KINDS];

const char *wanted_text(const struct wanted_thing *t, unsigned i);
unsigned wanted_number(const struct wanted_thing *t, unsigned i);
const struct effects *wanted_effects(
    const struct wanted_thing *t); /* NULL: its kind has none */

struct wanted;

struct wanted *wanted_create(void);
void wanted_free(struct wanted *w);
const struct wanted_thing *wanted_list(
    const struct wanted *w, size_t *n); /* in order */

/* The thing of this kind with these keys (key2 NULL: it has one), or NULL. */
const struct wanted_thing *wanted_find(
    const struct wanted *w, enum wanted_kind kind, const char *key, const char *key2);

/* Names what is added next. */
void wanted_component(struct wanted *w, const char *component);

/* The same thing may be wanted by several components, if all say the same of it; it is the
 * first one's then. To want it in different ways is a mistake of ours: abort(). */
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

/* Any of them. Would it abort()? For what is not of our own making. */
bool wanted_refuses(const struct wanted *w, const struct wanted_thing *thing);
void want_thing(struct wanted *w, const struct wanted_thing *thing);

/* Expect another hash of a wanted binary. */
void wanted_trust(
    struct wanted *w, const char *path, const char *arch, const char *sha256);

/* The sha256 of bytes, in hex. */
#define WANTED_SHA256_SIZE 65
void wanted_sha256(struct span bytes, char hex[WANTED_SHA256_SIZE]);

#endif
