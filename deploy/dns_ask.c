#include "deploy/dns.h"
