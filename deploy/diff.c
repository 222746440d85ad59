#include "deploy/diff.h"
