#include "deploy/wanted.h"
