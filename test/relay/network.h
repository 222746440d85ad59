/*
 * A network with this process and its children only, as root: every port of loopback is
 * free, and a name leads here.
 */
#ifndef TEST_RELAY_NETWORK_H
#define TEST_RELAY_NETWORK_H

#include <stdbool.h>

/*
 * Enter one in which domain is 127.0.0.1 and other names are asked at port 53 of it.
 * Before any thread. False if this machine has no such networks; says so on stderr.
 */
bool network_alone(const char *domain);

#endif
