/*
 * Numbers out of a page of metrics in Prometheus' text format, as chatmailctl gets it from
 * the daemon. Pure: a page is a NUL-terminated text.
 */
#ifndef CHATMAILD_CTL_SAMPLES_H
#define CHATMAILD_CTL_SAMPLES_H

#include "proto/span.h"

/* One line that is a sample; all borrowed from the page. */
struct sample {
	struct span name, labels; /* of the labels what is within the braces */
	double value;
};

/* The next sample at or after *at, which moves behind it. False at the end. */
bool sample_next(const char **at, struct sample *s);

/* The value of a label, 'reason' of 'service="auth",reason="load"'; empty if not there. */
struct span sample_label(const struct sample *s, const char *label);

/* The sum of all samples of that name whose labels hold text (NULL: any). */
double samples_sum(const char *page, const char *name, const char *text);

/*
 * The value that a part q (0 to 1) of what a histogram counted between two pages lies
 * below; before may be NULL. family is the name without "_bucket". Negative if nothing was
 * counted.
 */
double samples_quantile(const char *page, const char *before, const char *family,
    const char *text, double q);

#endif
