/* Measures as a picture. */
#include "deploy/plot.h"

#include <math.h>

#define WIDTH  900
#define LEFT   330 /* where times begin; before them stand the titles */
#define RIGHT  800 /* where they end; behind them stand the medians */
#define TOP    64
#define ROW    30
#define BOTTOM 40

/* Powers of ten, in seconds. */
struct axis {
	int first, last;
};

static void widen(struct axis *a, const struct measures *m)
{
	for (size_t i = 0; m && i < m->n; i++) {
		struct measure_figures f;

		if (m->list[i].n == 0)
			continue;
		f = measure_figures(&m->list[i]);
		while (a->first > -6 && f.min < pow(10, a->first))
			a->first--;
		while (f.max > pow(10, a->last))
			a->last++;
	}
}

/* What is too short to be told from nothing is at the left end. */
static double at(const struct axis *a, double seconds)
{
	double exponent = log10(fmax(seconds, pow(10, a->first)));

	return LEFT + (RIGHT - LEFT) * (exponent - a->first) / (a->last - a->first);
}

/* As XML wants it; what it does not allow at all is left out. */
static void add_escaped(struct text *svg, const char *s)
{
	for (; *s; s++) {
		if (*s == '&')
			text_add(svg, "&amp;");
		else if (*s == '<')
			text_add(svg, "&lt;");
		else if (*s == '>')
			text_add(svg, "&gt;");
		else if (!span_control(*s))
			text_add_span(svg, span_make(s, 1));
	}
}

static void add_text(
    struct text *svg, double x, double y, const char *more, const char *s)
{
	text_printf(svg, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, more);
	add_escaped(svg, s);
	text_add(svg, "</text>\n");
}

static void add_bar(struct text *svg, const struct axis *a, const struct measure *m,
    double y, double height, const char *colour)
{
	const struct measure_figures f = measure_figures(m);
	double from = at(a, f.median), to = at(a, f.p95);

	text_printf(svg,
	    "<g fill=\"%s\" stroke=\"%s\">"
	    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>"
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></g>\n",
	    colour, colour, at(a, f.min), y, at(a, f.max), y, from, y - height / 2,
	    fmax(to - from, 2), height);
}

static void add_row(struct text *svg, const struct axis *a, const struct measure *m,
    const struct measure *then, double y)
{
	char median[MEASURE_TIME_SIZE];

	measure_time(median, measure_figures(m).median);
	add_text(svg, LEFT - 12, y + 4, " text-anchor=\"end\"", m->title);
	add_bar(svg, a, m, y, 10, "#1d5fa8");
	if (then && then->n > 0)
		add_bar(svg, a, then, y + 10, 4, "#b9c6d6");
	add_text(svg, RIGHT + 12, y + 4, "", median);
}

static void add_axis(struct text *svg, const struct axis *a, double bottom)
{
	for (int i = a->first; i <= a->last; i++) {
		double x = at(a, pow(10, i));
		char text[MEASURE_TIME_SIZE];

		if (i < 0)
			snprintf(text, sizeof(text), "%g ms", pow(10, i + 3));
		else
			snprintf(text, sizeof(text), "%g s", pow(10, i));
		text_printf(svg,
		    "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" "
		    "stroke=\"#dddddd\"/>\n",
		    x, TOP - 16, x, bottom);
		add_text(svg, x, bottom + 18, " text-anchor=\"middle\"", text);
	}
}

static void add_heading(struct text *svg, const struct measures *m)
{
	struct text line = { 0 };

	text_printf(&line, "%s%s%s%s%s", m->relay ? m->relay : "",
	    m->second ? " and " : "", m->second ? m->second : "", m->when ? ", " : "",
	    m->when ? m->when : "");
	add_text(svg, 16, 28, " font-size=\"16\"", line.data);
	text_free(&line);
}

char *plot_svg(const struct measures *m, const struct measures *former)
{
	struct axis axis = { -2, 0 };
	struct text svg = { 0 };
	double y = TOP, bottom;
	size_t rows = 0;

	for (size_t i = 0; i < m->n; i++)
		rows += m->list[i].n > 0;
	bottom = TOP + (double)rows * ROW;
	widen(&axis, m);
	widen(&axis, former);
	text_printf(&svg,
	    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
	    "font-family=\"sans-serif\" font-size=\"12\">\n"
	    "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
	    WIDTH, bottom + BOTTOM);
	add_heading(&svg, m);
	add_axis(&svg, &axis, bottom);
	for (size_t i = 0; i < m->n; i++) {
		const struct measure *now = &m->list[i];

		if (now->n == 0)
			continue;
		add_row(&svg, &axis, now,
		    former ? measures_find(former, now->name) : NULL, y);
		y += ROW;
	}
	text_add(&svg, "</svg>\n");
	return text_take(&svg);
}
