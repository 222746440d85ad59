/* Buckets; see histogram.h. */
#include "chatmaild/histogram.h"

const struct histogram_bound histogram_bounds[HISTOGRAM_BOUNDS] = {
	{ 10000, "1e-05" },
	{ 25000, "2.5e-05" },
	{ 50000, "5e-05" },
	{ 100000, "0.0001" },
	{ 250000, "0.00025" },
	{ 500000, "0.0005" },
	{ 1000000, "0.001" },
	{ 2500000, "0.0025" },
	{ 5000000, "0.005" },
	{ 10000000, "0.01" },
	{ 25000000, "0.025" },
	{ 50000000, "0.05" },
	{ 100000000, "0.1" },
	{ 250000000, "0.25" },
	{ 500000000, "0.5" },
	{ 1000000000, "1.0" },
	{ 2500000000, "2.5" },
	{ 5000000000, "5.0" },
	{ 10000000000, "10.0" },
	{ 30000000000, "30.0" },
};

/* What is frequent is short: the search begins there. */
void histogram_observe(struct histogram *h, int64_t ns)
{
	unsigned i = 0;

	if (ns < 0)
		ns = 0;
	while (i < HISTOGRAM_BOUNDS && ns > histogram_bounds[i].ns)
		i++;
	h->count[i]++;
	h->sum_ns += (uint64_t)ns;
}

void histogram_since(struct histogram *h, int64_t began)
{
	histogram_observe(h, histogram_clock() - began);
}
