#include "deploy/facts.h"
