#include "deploy/component.h"
