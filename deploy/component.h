/*
 * The components of a relay: each says what it wants of a server, in a file of its own,
 * comp_NAME.c. Their templates are in templates/NAME/.
 */
#ifndef DEPLOY_COMPONENT_H
#define DEPLOY_COMPONENT_H

#include <jansson.h>

#include "chatmaild/config.h"
#include "deploy/wanted.h"

#define COMPONENT_ERROR_MAX 512

/* What is deployed, for the components. */
struct relay {
	const struct config *config;
	json_t *context;       /* for templates, see context.h */
	const char *templates; /* directory */
	const char *packages;  /* directory of our .deb files; NULL: none at hand */
	bool disable_mail;     /* Postfix and Dovecot stay stopped */
	char error[COMPONENT_ERROR_MAX];
};

struct component {
	const char *name;

	/* Add what this relay wants; false with a line in r->error if that cannot be. */
	bool (*want)(struct relay *r, struct wanted *w);
};

/* One row of a component's table of rendered files. */
struct component_file {
	const char *path; /* on the server; the template is templates/NAME/PATH */
	const char *owner, *group; /* NULL: root */
	mode_t mode;               /* 0: 0644 */
	unsigned flags;
	struct effects effects;
};

/*
 * Render a row's template and want the file. false with a line in r->error: a template that
 * cannot be read, or names an unknown variable ("FILE:LINE: ...").
 */
bool component_file(struct relay *r, struct wanted *w, const char *component,
    const struct component_file *file);

/*
 * The text of templates/COMPONENT/PATH, rendered, NUL-terminated, *len without the NUL, to
 * be free()d; for what is no file of its own, or has another name on the server. NULL with
 * a line in r->error.
 */
char *component_text(
    struct relay *r, const char *component, const char *path, size_t *len);

/*
 * A whole regular file of this machine, at most max bytes, NUL-terminated, *len without the
 * NUL, to be free()d. NULL with a line in r->error.
 */
char *component_read(struct relay *r, const char *path, size_t max, size_t *len);

/* Set r->error; returns false. */
__attribute__((format(printf, 2, 3))) bool component_fail(
    struct relay *r, const char *fmt, ...);

/* In the order in which they are configured and activated; components.c. */
extern const struct component *const components[];
extern const size_t ncomponents;

extern const struct component
    base_component; /* comp_base.c: apt, users, mailname, sysctl */
extern const struct component obsolete_component; /* what former relays left behind */
extern const struct component journald_component;
extern const struct component unbound_component;
extern const struct component turn_component;
extern const struct component iroh_component;
extern const struct component echobot_component; /* the client that chatmaild calls */
extern const struct component tls_component;     /* acmetool, self-signed, external */
extern const struct component website_component;
extern const struct component chatmaild_component; /* packages, ini, drop-ins */
extern const struct component opendkim_component;
extern const struct component dovecot_component;
extern const struct component postfix_component;
extern const struct component nginx_component;
extern const struct component python_component; /* what a Python relay had */
extern const struct component mtail_component;
extern const struct component version_component; /* /etc/chatmail-version */

#endif
