/* Hand one message to a relay's submission port as any mail program would (RFC 6409),
 * over implicit TLS with any certificate: what Delta Chat clients refuse to send. */
#ifndef TEST_RELAY_SUBMIT_H
#define TEST_RELAY_SUBMIT_H

#include <stddef.h>

/*
 * Log in as from and send message (CRLF lines, no line of a single dot) to one
 * recipient. reply gets the relay's last reply, a line without its end, to the first
 * command refused or else to the message: "250 ...", "523 ...". 0, or -1 when the talk
 * broke off or login failed: then reply tells why.
 */
int submit(const char *host, unsigned port, const char *from, const char *password,
    const char *to, const char *message, char *reply, size_t size);

#endif
