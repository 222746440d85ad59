/*
 * The difference of two texts in unified form (diff(1), "Unified Format").
 */
#ifndef DEPLOY_DIFF_H
#define DEPLOY_DIFF_H

#include <stdio.h>

#include "proto/span.h"

/*
 * Write how old becomes new, with three lines of context; nothing if they are equal. Texts
 * with a NUL byte are only said to differ. Time and memory are bounded: texts that differ in
 * very many places are shown as one replacement. Control characters are made visible.
 */
void diff_write(
    FILE *out, const char *name, struct span old, struct span new, bool colour);

#endif
