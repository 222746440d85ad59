/*
 * A new address with its password, as POST /new gives it to an app. Nothing is made or
 * reserved: an account comes to life by its first login.
 */
#ifndef CHATMAILD_SUGGEST_H
#define CHATMAILD_SUGGEST_H

#include <jansson.h>

#include "chatmaild/config.h"

/*
 * One JSON object on one line, LF at the end, to be free()d: "email", of
 * username_max_length letters and digits; "password", of password_min_length + 3 printable
 * characters (no blank), both from a cryptographic source; on a relay with a certificate of
 * its own making also "dclogin_url", which tells the app to accept that. The password begins
 * with invite, which may be empty. NULL if there is no randomness.
 */
char *suggest_account(const struct config *config, struct span invite);

/* The same as an object, with "dclogin_url" on any relay. */
json_t *suggest_login(const struct config *config, struct span invite);

#endif
