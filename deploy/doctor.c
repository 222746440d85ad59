#include "deploy/doctor_impl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/span.h"

struct doctor *doctor_create(void)
{
	struct doctor *d = calloc(1, sizeof(*d));

	if (!d || pthread_mutex_init(&d->lock, NULL) != 0)
		abort();
	return d;
}

void doctor_free(struct doctor *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++) {
		free((char *)d->list[i].key);
		free((char *)d->list[i].is);
		free((char *)d->list[i].remedy);
	}
	free(d->list);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* One line of ASCII, for terminals and for JSON. */
static char *tame(char *text)
{
	if (!text)
		abort();
	for (char *c = text; *c; c++) {
		if (span_control(*c) || (unsigned char)*c > 0x7f)
			*c = '?';
	}
	return text;
}

static struct doctor_finding *room(struct doctor *d)
{
	if (d->n == d->size) {
		d->size = d->size ? 2 * d->size : 64;
		d->list = realloc(d->list, d->size * sizeof(*d->list));
		if (!d->list)
			abort();
	}
	return &d->list[d->n++];
}

void doctor_note(struct doctor *d, enum doctor_severity severity, const char *key,
    const char *remedy, const char *format, ...)
{
	char *is;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&is, format, ap) < 0)
		abort();
	va_end(ap);
	pthread_mutex_lock(&d->lock);
	if (doctor_find(d, key)) {
		free(is);
	} else {
		*room(d) = (struct doctor_finding){
			.key = tame(strdup(key)),
			.severity = severity,
			.is = tame(is),
			.remedy = tame(strdup(remedy ? remedy : "")),
			.because = d->n - 1,
			.worst = severity,
		};
	}
	pthread_mutex_unlock(&d->lock);
}

const struct doctor_finding *doctor_list(const struct doctor *d, size_t *n)
{
	*n = d->n;
	return d->list;
}

const struct doctor_finding *doctor_find(const struct doctor *d, const char *key)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->list[i].key, key) == 0)
			return &d->list[i];
	}
	return NULL;
}

enum doctor_severity doctor_worst(const struct doctor *d)
{
	enum doctor_severity worst = DOCTOR_SOUND;

	for (size_t i = 0; i < d->n; i++) {
		if (d->list[i].severity > DOCTOR_UNTRIED && d->list[i].severity > worst)
			worst = d->list[i].severity;
	}
	return worst;
}
