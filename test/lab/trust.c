/*
 * A certificate for a relay of the lab, and a chat client that trusts it, as relay/trust.h
 * has it.
 */
#include <stdio.h>

#include "test/relay/trust.h"

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: trust DIR SERVER DOMAIN\n"
		      "  DIR     where to write ca.pem, cert.pem, key.pem and client\n"
		      "  SERVER  the deltachat-rpc-server program\n"
		      "  DOMAIN  whom the certificate is for\n",
		    stderr);
		return 2;
	}
	trust_make(argv[1], argv[2], argv[3]);
	return 0;
}
