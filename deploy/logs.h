/*
 * The journal of the relay's units: which they are, and what in its lines is nobody's
 * business.
 */
#ifndef DEPLOY_LOGS_H
#define DEPLOY_LOGS_H

#include "deploy/text.h"

/* What an operator calls it, and the units whose lines it is. */
struct logs_component {
	const char *name;
	const char *units; /* parted by blanks */
	const char *help;
};
const struct logs_component *logs_components(size_t *n);

struct logs_question {
	const char *component; /* NULL: all */
	const char *since;     /* as journalctl(1) takes it; NULL: the last lines */
	const char *grep;      /* a regular expression; NULL: everything */
	bool follow;           /* until stdin ends */
};

/* The script that asks, free()d by the caller; NULL if there is no such component. */
char *logs_script(const struct logs_question *q);

/*
 * Append line, without who and from where: the part of a mail address before its "@" becomes
 * "*", an IP address but those of the machine itself "IP", and the name that Postfix found
 * for a client's "*". Domains and the servers that mail is sent to stay.
 */
void logs_mask(struct text *to, struct span line);

#endif
