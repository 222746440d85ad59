/*
 * A program of this machine that bytes go through: it encrypts, or decrypts.
 */
#ifndef DEPLOY_PROGRAM_H
#define DEPLOY_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Start argv, found by $PATH, with these descriptors as its standard input and output; it may
 * ask on the terminal. Returns 0 with errno if that fails. The descriptors stay the caller's.
 */
pid_t program_start(const char *const argv[], int in, int out);

/* Wait for its end. True if it ended well. */
bool program_end(pid_t pid);

#endif
