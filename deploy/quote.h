/*
 * Quoting for the POSIX shell (IEEE Std 1003.1, Shell Command Language 2.2.2): the only
 * way in which a value gets into a command.
 */
#ifndef DEPLOY_QUOTE_H
#define DEPLOY_QUOTE_H

#include "deploy/text.h"

/*
 * Append word as exactly one word of a shell command, whatever bytes it holds. A NUL cannot
 * be in an argument: it is an error of the caller.
 */
void quote_shell(struct text *to, struct span word);

/*
 * Append a command made of a format: %s stands for a quoted word, %r for text as it is
 * (a script of our own), %u for an unsigned int, %% for itself; nothing else is allowed.
 */
void quote_command(struct text *to, const char *format, ...);

#endif
