#include "deploy/plan.h"
