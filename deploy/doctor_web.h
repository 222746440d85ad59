/*
 * The relay's pages: the site, new addresses, and what apps meet by.
 */
#ifndef DEPLOY_DOCTOR_WEB_H
#define DEPLOY_DOCTOR_WEB_H

#include "chatmaild/config.h"
#include "deploy/doctor.h"

#define DOCTOR_WEB_MS 6000 /* for one page */

/* address: where port 443 answered. open: anybody may have a new address. */
void doctor_try_web(
    struct doctor *d, const struct config *config, const char *address, bool open);

/* The code of an answer's first line, "HTTP/1.1 200 OK"; 0 if it is none. */
unsigned doctor_http_code(struct span line);

#endif
