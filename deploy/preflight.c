#include "deploy/preflight.h"
