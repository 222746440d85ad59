/*
 * Measures as a picture (SVG 1.1): for each a bar from its fastest to its slowest, thick from
 * the median to the 95th percentile, over times that grow by tens; that of a former run
 * below it, paler.
 */
#ifndef DEPLOY_PLOT_H
#define DEPLOY_PLOT_H

#include "deploy/measure.h"

/* The text of the picture, free()d by the caller. former: NULL if there is none. */
char *plot_svg(const struct measures *m, const struct measures *former);

#endif
