/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks: wall-clock time for stored and displayed times, monotonic time for waiting and measuring. */
#ifndef TH_JOURNAL_BASE_CLOCK_H
#define TH_JOURNAL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define TH_NS_PER_S UINT64_C(1000000000)

static inline uint64_t th_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * TH_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Returns nanoseconds since 1970, UTC. */
static inline uint64_t th_now_ns(void)
{
	return th_clock_ns(CLOCK_REALTIME);
}

/* Returns nanoseconds of a clock that is never set. */
static inline uint64_t th_monotonic_ns(void)
{
	return th_clock_ns(CLOCK_MONOTONIC);
}

/* Returns the absolute time on `clock` that is `ms` milliseconds from now, for pthread_cond_timedwait(). */
static inline struct timespec th_clock_after_ms(clockid_t clock, uint64_t ms)
{
	uint64_t until = th_clock_ns(clock) + ms * 1000000;

	return (struct timespec){ .tv_sec = (time_t)(until / TH_NS_PER_S), .tv_nsec = (long)(until % TH_NS_PER_S) };
}

#endif
