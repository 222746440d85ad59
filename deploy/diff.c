/*
 * The shortest way from one text to the other is found greedily (E. W. Myers, "An O(ND)
 * Difference Algorithm and Its Variations", Algorithmica 1, 1986): for d = 0, 1, 2, ...
 * changes, how far each diagonal reaches.
 */
#include "deploy/diff.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "deploy/text.h"

#define CONTEXT     3
#define CHANGES_MAX 1000 /* lines removed and added; memory grows with its square */

struct line {
	struct span text; /* with its LF, if it has one */
	uint64_t hash;
	bool changed; /* removed, or added */
};

struct lines {
	struct line *line;
	size_t n;
};

struct diff {
	FILE *out;
	bool colour;
	struct lines old, new;
};

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}

/* FNV-1a: only so that unlike lines are told apart at a glance. */
static uint64_t hash(struct span s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (unsigned char)s.data[i]) * 0x100000001b3u;
	return h;
}

static struct lines split(struct span text)
{
	struct lines lines = { 0 };
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	lines.line = allocate(n, sizeof(*lines.line));
	while (text.len > 0) {
		const char *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - text.data) + 1 : text.len;
		struct line *line = &lines.line[lines.n++];

		line->text = span_make(text.data, len);
		line->hash = hash(line->text);
		text = span_skip(text, len);
	}
	return lines;
}

static bool same(const struct line *a, const struct line *b)
{
	return a->hash == b->hash && span_equal(a->text, b->text);
}

/* A number of diagonal k, -d <= k <= d, of step d. The steps lie behind each other. */
static int *reach(int *steps, int d, int k)
{
	return &steps[(size_t)d * (size_t)d + (size_t)(k + d)];
}

/* Does the best way to diagonal k in step d come by adding a line, from k + 1? */
static bool comes_down(int *steps, int d, int k)
{
	return k == -d ||
	       (k != d && *reach(steps, d - 1, k - 1) < *reach(steps, d - 1, k + 1));
}

/* Mark the changed lines, from the end back to the start. */
static void mark(struct line *a, struct line *b, int *steps, int d, int k)
{
	for (; d > 0; d--) {
		bool down = comes_down(steps, d, k);
		int from;

		k += down ? 1 : -1;
		from = *reach(steps, d - 1, k);
		if (down)
			b[from - k].changed = true;
		else
			a[from].changed = true;
	}
}

/* Find which lines of a and b change; false if it takes more than CHANGES_MAX. */
static bool compare(struct line *a, int na, struct line *b, int nb)
{
	int *steps =
	    allocate((size_t)(CHANGES_MAX + 1) * (CHANGES_MAX + 1), sizeof(*steps));
	bool found = false;

	for (int d = 0; d <= CHANGES_MAX && !found; d++) {
		for (int k = -d; k <= d && !found; k += 2) {
			int x = 0, y;

			if (d > 0)
				x = comes_down(steps, d, k)
					? *reach(steps, d - 1, k + 1)
					: *reach(steps, d - 1, k - 1) + 1;
			y = x - k;
			while (x < na && y >= 0 && y < nb && same(&a[x], &b[y])) {
				x++;
				y++;
			}
			*reach(steps, d, k) = x;
			found = x >= na && y >= nb;
			if (found)
				mark(a, b, steps, d, k);
		}
	}
	free(steps);
	return found;
}

/* Which lines change; those at both ends that are the same are not looked at twice. */
static void mark_changes(struct lines *old, struct lines *new)
{
	size_t least = old->n < new->n ? old->n : new->n, head = 0, tail = 0, na, nb;

	while (head < least && same(&old->line[head], &new->line[head]))
		head++;
	while (tail < least - head &&
	       same(&old->line[old->n - 1 - tail], &new->line[new->n - 1 - tail]))
		tail++;
	na = old->n - head - tail;
	nb = new->n - head - tail;
	if (na <= INT_MAX / 2 && nb <= INT_MAX / 2 &&
	    compare(old->line + head, (int)na, new->line + head, (int)nb))
		return;
	for (size_t i = 0; i < na; i++)
		old->line[head + i].changed = true;
	for (size_t i = 0; i < nb; i++)
		new->line[head + i].changed = true;
}

static void begin_colour(const struct diff *d, const char *colour)
{
	if (d->colour)
		fprintf(d->out, "\033[%sm", colour);
}

static void end_line(const struct diff *d)
{
	fputs(d->colour ? "\033[0m\n" : "\n", d->out);
}

static void print_line(const struct diff *d, char sign, const struct line *line)
{
	struct span text = line->text;
	bool whole = text.data[text.len - 1] == '\n';

	if (whole)
		text.len--;
	if (sign != ' ')
		begin_colour(d, sign == '-' ? "31" : "32");
	putc(sign, d->out);
	text_write_visible(d->out, text, "\t");
	if (sign != ' ')
		end_line(d);
	else
		putc('\n', d->out);
	if (!whole)
		fputs("\\ No newline at end of file\n", d->out);
}

/* "12,3"; "12" for one line; the line before it for none. */
static void print_range(FILE *out, char sign, size_t from, size_t n)
{
	fprintf(out, " %c%zu", sign, n == 0 ? from : from + 1);
	if (n != 1)
		fprintf(out, ",%zu", n);
}

/* Lines i to i_end of the old text, j to j_end of the new one. */
static void print_hunk(
    const struct diff *d, size_t i, size_t i_end, size_t j, size_t j_end)
{
	begin_colour(d, "36");
	fputs("@@", d->out);
	print_range(d->out, '-', i, i_end - i);
	print_range(d->out, '+', j, j_end - j);
	fputs(" @@", d->out);
	end_line(d);
	while (i < i_end || j < j_end) {
		if (i < i_end && d->old.line[i].changed) {
			print_line(d, '-', &d->old.line[i++]);
		} else if (j < j_end && d->new.line[j].changed) {
			print_line(d, '+', &d->new.line[j++]);
		} else {
			print_line(d, ' ', &d->old.line[i++]);
			j++;
		}
	}
}

static bool changed_at(const struct lines *l, size_t i)
{
	return i < l->n && l->line[i].changed;
}

/* Go over what changes from here on. */
static void skip_changed(const struct diff *d, size_t *i, size_t *j)
{
	while (changed_at(&d->old, *i))
		(*i)++;
	while (changed_at(&d->new, *j))
		(*j)++;
}

/* Go over what stays, at most max lines; how many. */
static size_t skip_same(const struct diff *d, size_t *i, size_t *j, size_t max)
{
	size_t n = 0;

	while (n < max && *i < d->old.n && *j < d->new.n && !changed_at(&d->old, *i) &&
	       !changed_at(&d->new, *j)) {
		(*i)++;
		(*j)++;
		n++;
	}
	return n;
}

static void print_hunks(const struct diff *d)
{
	size_t i = 0, j = 0;

	for (;;) {
		size_t before = skip_same(d, &i, &j, SIZE_MAX);
		size_t from_i, from_j, n;

		if (i == d->old.n && j == d->new.n)
			return;
		if (before > CONTEXT)
			before = CONTEXT;
		from_i = i - before;
		from_j = j - before;
		/* Changes that are close to each other share a hunk. */
		do {
			skip_changed(d, &i, &j);
			n = skip_same(d, &i, &j, 2 * CONTEXT);
		} while (changed_at(&d->old, i) || changed_at(&d->new, j));
		if (n > CONTEXT) {
			i -= n - CONTEXT;
			j -= n - CONTEXT;
		}
		print_hunk(d, from_i, i, from_j, j);
	}
}

static void print_head(FILE *out, const char *sign, const char *name)
{
	fprintf(out, "%s ", sign);
	text_write_visible(out, span_of(name), "");
	fputc('\n', out);
}

static bool has_nul(struct span s)
{
	return s.len > 0 && memchr(s.data, '\0', s.len);
}

void diff_write(
    FILE *out, const char *name, struct span old, struct span new, bool colour)
{
	struct diff d = { .out = out, .colour = colour };

	if (span_equal(old, new))
		return;
	if (has_nul(old) || has_nul(new)) {
		text_write_visible(out, span_of(name), "");
		fputs(": binary texts differ\n", out);
		return;
	}
	d.old = split(old);
	d.new = split(new);
	mark_changes(&d.old, &d.new);
	print_head(out, "---", name);
	print_head(out, "+++", name);
	print_hunks(&d);
	free(d.old.line);
	free(d.new.line);
}
