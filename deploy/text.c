#include "deploy/text.h"
