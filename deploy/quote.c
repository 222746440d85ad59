#include "deploy/quote.h"
