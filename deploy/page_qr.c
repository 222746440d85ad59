#include "deploy/page.h"
