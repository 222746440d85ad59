/*
 * A Delta Chat client as on a phone: the library that the apps embed, given a device
 * token. deltachat-rpc-server is made of the same library, but has no call for a token.
 */
#ifndef TEST_RELAY_PHONE_H
#define TEST_RELAY_PHONE_H

struct phone {
	const char *library; /* any shared object with the functions of deltachat.h */
	const char *token;
};

/*
 * Speak JSON-RPC as deltachat-rpc-server does, for the run of a struct deltachat_program:
 * phone is a struct phone. Ends with its input. Reports to stderr what fails.
 *
 * From here on this process connects to nothing but this machine, though it asks for
 * names: a client with a token would tell the public notification service about it.
 */
__attribute__((noreturn)) void phone_serve(const void *phone);

#endif
