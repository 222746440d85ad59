/* Results of a former benchmark: what is read is written again as the same, and can be shown
 * and drawn; or there is a message. */
#include "deploy/measure.h"
#include "deploy/plot.h"
#include "test/fuzz/fuzz.h"

static void show(const struct measures *m)
{
	char *said = NULL, *svg = plot_svg(m, m);
	size_t len;
	FILE *out = open_memstream(&said, &len);

	FUZZ_CHECK(out);
	measures_print(m, m, out);
	fclose(out);
	FUZZ_CHECK(len > 0);
	FUZZ_CHECK(
	    !strstr(svg, "\"nan") && !strstr(svg, "\"-nan") && !strstr(svg, "\"inf"));
	free(said);
	free(svg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[MEASURE_ERROR_MAX] = "", *copy = fuzz_copy(data, size), *first,
	     *second;
	struct measures m, again;
	bool good = measures_read(&m, span_make(copy, size), error);

	free(copy);
	if (!good) {
		FUZZ_CHECK(error[0]);
		FUZZ_CHECK(m.n == 0);
		return 0;
	}
	show(&m);
	first = measures_write(&m);
	FUZZ_CHECK(measures_read(&again, span_of(first), error));
	second = measures_write(&again);
	FUZZ_CHECK(strcmp(first, second) == 0);
	free(first);
	free(second);
	measures_free(&again);
	measures_free(&m);
	return 0;
}
