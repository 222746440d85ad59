/*
 * Inside of facts.c: the values with many rows, each as the program says them that is asked.
 */
#ifndef DEPLOY_FACTS_READ_H
#define DEPLOY_FACTS_READ_H

#include "deploy/facts.h"
#include "deploy/facts_pool.h"

/* What is known of a unit while reading. */
struct facts_unit_note {
	int64_t pid; /* of its program; -1: none runs */
};

struct facts_account { /* a wanted user or group */
	const char *name;
	const char *gid; /* in decimal; NULL: there is none of this name */
};

struct facts_membership { /* a wanted one */
	const char *user, *group;
	bool is;
};

struct facts_reader {
	struct facts *facts;
	struct facts_pool *pool;
	bool begun, ended;
	size_t nstates_seen;

	/* Tables of what is wanted, sorted; that of the packages is facts->packages, where
	 * those without a version are not installed. */
	struct fact_file *file;        /* of the last record */
	struct facts_unit_note *notes; /* one for each of facts->units */
	struct facts_account *users, *groups;
	size_t nusers, ngroups;
	struct facts_membership *members;
	size_t nmembers;
};

/* Make room for what is wanted, before the first record; finish, after the last. */
void facts_reader_begin(struct facts_reader *r, const struct wanted *w);
void facts_reader_end(struct facts_reader *r);

/* One record's value each. They may change it, and keep pointers into it. */
void facts_read_file(struct facts_reader *r, char *value);
void facts_read_link(struct facts_reader *r, char *value);
void facts_read_hash(struct facts_reader *r, char *value);
void facts_read_packages(struct facts_reader *r, char *value);
void facts_read_passwd(struct facts_reader *r, char *value);
void facts_read_group(struct facts_reader *r, char *value);
void facts_read_units(struct facts_reader *r, char *value);
void facts_read_programs(struct facts_reader *r, char *value);
void facts_read_ports(struct facts_reader *r, char *value);

/*
 * Take from *rest what stands before the first sep, which is dropped; all of it if there is
 * none, *rest is NULL then. NULL if *rest is.
 */
char *facts_cut(char **rest, char sep);

/* Cut line into words parted by blanks; at most n, the rest is dropped. Returns how many. */
size_t facts_words(char *line, char *words[], size_t n);

size_t facts_count(const char *s, char c);

/* A decimal number at the front, after blanks; -1 if there is none, or it is too large. */
int64_t facts_number(const char *s);

#endif
