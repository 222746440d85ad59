/*
 * A Delta Chat client as on a phone: the library that the apps embed, given a device
 * token. deltachat-rpc-server is made of the same library, but has no call for a token.
 */
#ifndef TEST_RELAY_PHONE_H
#define TEST_RELAY_PHONE_H

/*
 * Speak JSON-RPC as deltachat-rpc-server does, one object per line over standard input
 * and output, with data in the folder that DC_ACCOUNTS_PATH names; for a process of its
 * own, which ends with its input. library is any shared object with the functions of
 * deltachat.h. Reports to stderr what fails.
 *
 * From here on this process connects to nothing but this machine, though it asks for
 * names: a client with a token would tell the public notification service about it.
 */
__attribute__((noreturn)) void phone_serve(const char *library, const char *token);

#endif
