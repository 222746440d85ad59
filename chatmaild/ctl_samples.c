/* See ctl_samples.h. */
#include "chatmaild/ctl_samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS_MAX 64
#define FAMILY_MAX  128

static bool parse_sample(struct span line, struct sample *s)
{
	const char *blank = memrchr(line.data, ' ', line.len);
	const char *brace = memchr(line.data, '{', line.len);
	char *end;

	if (line.len == 0 || line.data[0] == '#' || !blank)
		return false;
	s->value = strtod(blank + 1, &end); /* ends at the LF at the latest */
	if (end == blank + 1)
		return false;
	s->labels = span_make("", 0);
	if (brace && brace < blank && blank[-1] == '}') {
		s->name = span_make(line.data, (size_t)(brace - line.data));
		s->labels = span_make(brace + 1, (size_t)(blank - 1 - (brace + 1)));
	} else {
		s->name = span_make(line.data, (size_t)(blank - line.data));
	}
	return true;
}

bool sample_next(const char **at, struct sample *s)
{
	while (**at) {
		const char *eol = strchrnul(*at, '\n');
		struct span line = span_make(*at, (size_t)(eol - *at));

		*at = *eol ? eol + 1 : eol;
		if (parse_sample(line, s))
			return true;
	}
	return false;
}

struct span sample_label(const struct sample *s, const char *label)
{
	struct span rest = s->labels, one;
	size_t n = strlen(label);

	while (span_cut(&rest, ',', &one))
		if (span_starts(one, label) && one.len >= n + 3 && one.data[n] == '=')
			return span_make(one.data + n + 2, one.len - n - 3);
	return span_make("", 0);
}

static bool holds(struct span labels, const char *text)
{
	return !text || memmem(labels.data, labels.len, text, strlen(text));
}

double samples_sum(const char *page, const char *name, const char *text)
{
	struct sample s;
	double sum = 0;

	while (sample_next(&page, &s))
		if (span_is(s.name, name) && holds(s.labels, text))
			sum += s.value;
	return sum;
}

struct bucket {
	double limit, count; /* seconds; of all up to it */
};

/* Add the buckets of a page, sign times, to those of the same limit. */
static size_t add_buckets(struct bucket *b, size_t n, const char *page,
    const char *name, const char *text, double sign)
{
	struct sample s;

	while (sample_next(&page, &s)) {
		double limit;
		size_t i = 0;

		if (!span_is(s.name, name) || !holds(s.labels, text))
			continue;
		/* The closing quote ends the number. */
		limit = strtod(sample_label(&s, "le").data, NULL);
		while (i < n && b[i].limit < limit)
			i++;
		if (i == n || b[i].limit > limit) {
			if (n == BUCKETS_MAX)
				continue;
			memmove(&b[i + 1], &b[i], (n - i) * sizeof(*b));
			b[i] = (struct bucket){ limit, 0 };
			n++;
		}
		b[i].count += sign * s.value;
	}
	return n;
}

double samples_quantile(const char *page, const char *before, const char *family,
    const char *text, double q)
{
	struct bucket b[BUCKETS_MAX];
	char name[FAMILY_MAX];
	double below = 0, from = 0, want;
	size_t n;

	snprintf(name, sizeof(name), "%s_bucket", family);
	n = add_buckets(b, 0, page, name, text, 1);
	if (before)
		n = add_buckets(b, n, before, name, text, -1);
	if (n == 0 || b[n - 1].count <= 0)
		return -1;
	want = q * b[n - 1].count;
	for (size_t i = 0; i < n; i++) {
		/* Beyond the last limit nothing is known but that. */
		if (isinf(b[i].limit))
			return from;
		if (b[i].count >= want && b[i].count > below)
			return from + (b[i].limit - from) * (want - below) /
					  (b[i].count - below);
		below = b[i].count;
		from = b[i].limit;
	}
	return from;
}
