#include "deploy/host.h"
