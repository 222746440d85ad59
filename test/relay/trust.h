/*
 * A chat client that trusts a certificate of ours. Clients know the public authorities
 * that are compiled into them, and no other, whatever the system or SSL_CERT_FILE says.
 * So ours takes the name of one of these, and in a copy of the program that one's key is
 * exchanged for ours; the checks and all else stay what they are.
 */
#ifndef TEST_RELAY_TRUST_H
#define TEST_RELAY_TRUST_H

/*
 * Write below dir: ca.pem, the authority; cert.pem and key.pem for a server named domain;
 * client, the copy of program. Ends the program with the reason when it cannot.
 */
void trust_make(const char *dir, const char *program, const char *domain);

#endif
