#ifndef DEPLOY_DNS_H
#define DEPLOY_DNS_H

struct dns;

#endif
