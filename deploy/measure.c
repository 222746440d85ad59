/* Samples, their figures, and the table of them. */
#include "deploy/measure.h"

#include <assert.h>
#include <stdlib.h>

struct measure *measures_add(struct measures *m, const char *name, const char *title)
{
	struct measure *new;

	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->list[i].name, name) == 0)
			return &m->list[i];
	}
	assert(m->n < MEASURES_MAX);
	new = &m->list[m->n++];
	*new = (struct measure){ .name = span_dup(span_of(name)),
		.title = span_dup(span_of(title)) };
	if (!new->name || !new->title)
		abort();
	return new;
}

const struct measure *measures_find(const struct measures *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->list[i].name, name) == 0)
			return &m->list[i];
	}
	return NULL;
}

void measure_sample(struct measure *m, double seconds)
{
	assert(m->n < MEASURE_SAMPLES_MAX);
	assert(seconds >= 0 && seconds <= MEASURE_SECONDS_MAX);
	m->seconds = reallocarray(m->seconds, m->n + 1, sizeof(m->seconds[0]));
	if (!m->seconds)
		abort();
	m->seconds[m->n++] = seconds;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct measure_figures measure_figures(const struct measure *m)
{
	double sorted[MEASURE_SAMPLES_MAX];

	assert(m->n > 0);
	memcpy(sorted, m->seconds, m->n * sizeof(sorted[0]));
	qsort(sorted, m->n, sizeof(sorted[0]), compare);
	return (struct measure_figures){
		.min = sorted[0],
		.median = sorted[m->n / 2],
		.p95 = sorted[(m->n * 95 + 99) / 100 - 1],
		.max = sorted[m->n - 1],
	};
}

void measure_time(char text[MEASURE_TIME_SIZE], double seconds)
{
	double ms = seconds * 1000;

	if (ms < 9.95)
		snprintf(text, MEASURE_TIME_SIZE, "%.1f ms", ms);
	else if (ms < 999.5)
		snprintf(text, MEASURE_TIME_SIZE, "%.0f ms", ms);
	else
		snprintf(text, MEASURE_TIME_SIZE, "%.2f s", seconds);
}

void measures_free(struct measures *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->list[i].name);
		free(m->list[i].title);
		free(m->list[i].seconds);
	}
	free(m->relay);
	free(m->second);
	free(m->version);
	free(m->when);
	*m = (struct measures){ 0 };
}

#define TITLE_WIDTH 50 /* columns */

static void print_line(FILE *out, const char *title, const struct measure *m)
{
	const struct measure_figures f = measure_figures(m);
	const double times[] = { f.min, f.median, f.p95, f.max };
	char text[MEASURE_TIME_SIZE];

	fprintf(out, "%-*s %4zu", TITLE_WIDTH, title, m->n);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		measure_time(text, times[i]);
		fprintf(out, " %9s", text);
	}
}

static void print_former(FILE *out, const struct measure *m, const struct measure *then)
{
	double now = measure_figures(m).median, before = measure_figures(then).median;

	print_line(out, "    formerly", then);
	if (before > 0)
		fprintf(out, "  now %.2f of it", now / before);
	fputc('\n', out);
}

void measures_print(const struct measures *m, const struct measures *former, FILE *out)
{
	fprintf(out, "%-*s %4s %9s %9s %9s %9s\n", TITLE_WIDTH, "", "n", "min",
	    "median", "p95", "max");
	for (size_t i = 0; i < m->n; i++) {
		const struct measure *now = &m->list[i], *then = NULL;

		if (now->n == 0)
			continue;
		print_line(out, now->title, now);
		fputc('\n', out);
		if (former)
			then = measures_find(former, now->name);
		if (then && then->n > 0)
			print_former(out, now, then);
	}
}
