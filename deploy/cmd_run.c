#include "deploy/command.h"
