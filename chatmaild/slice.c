/*
 * Apart from all else, because the kernel's header and glibc's <sched.h> both define struct
 * sched_param.
 */
#include "chatmaild/slice.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS 100000 /* the shortest the kernel grants */

void slice_shorten(void)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_NORMAL,
		.sched_nice = getpriority(PRIO_PROCESS, 0),
		.sched_runtime = SLICE_NS,
	};

	/* A wish: without it all works, only later at times. */
	syscall(SYS_sched_setattr, 0, &attr, 0);
}
