/*
 * What an operator sees while something takes its time, on stderr: on a terminal one line
 * with a spinner and the elapsed time, which becomes "done 1.2 s", "failed" or a remark;
 * elsewhere plain lines when a thing begins to take long and when it ends. There is no timer:
 * the line is drawn anew when something is called.
 */
#ifndef DEPLOY_PROGRESS_H
#define DEPLOY_PROGRESS_H

#include <stdbool.h>

struct progress;

/* verbose: what commands say is shown line by line, and there is no spinner. */
struct progress *progress_create(bool verbose);
void progress_begin(struct progress *p, const char *what); /* ends what is open */

/*
 * Shown behind the spinner, cut to the width, control characters made harmless. NULL: time
 * passes. Fits host_line.
 */
void progress_line(void *progress, const char *line);
void progress_tick(struct progress *p);                               /* time passes */
void progress_end(struct progress *p, bool good, const char *remark); /* NULL: none */
void progress_free(struct progress *p); /* ends what is open; accepts NULL */

/* Green and red lines on stderr; plain where stderr is no terminal or NO_COLOR is set. */
__attribute__((format(printf, 1, 2))) void say_good(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void say_bad(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);

#endif
