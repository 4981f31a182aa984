/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/diff_session.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "journal/base/clock.h"

struct session {
	uint64_t id; /* 0: free */
	bool busy; /* a thread uses it without the lock */
	uint64_t deadline_ns; /* of th_monotonic_ns: ended then if it is not busy */
	struct th_session_source source;
	bool ended;
	struct th_slice part; /* of the source: what was not read yet */
};

struct th_diff_sessions {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* signals a new deadline, or stop */
	pthread_t watcher;
	bool watched, stop;
	struct session list[TH_DIFF_SESSIONS_MAX];
};

int th_diff_sessions_new(struct th_diff_sessions **ret)
{
	struct th_diff_sessions *sessions = calloc(1, sizeof(*sessions));
	pthread_condattr_t clock;

	if (!sessions)
		return -ENOMEM;
	pthread_mutex_init(&sessions->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&sessions->changed, &clock);
	pthread_condattr_destroy(&clock);
	*ret = sessions;
	return 0;
}

/* Frees the contents of a session that is not on the list. */
static void session_release(struct session *session)
{
	if (session->source.close)
		session->source.close(session->source.arg);
}

static void set_deadline(struct session *session)
{
	session->deadline_ns = th_monotonic_ns() + session->source.idle_seconds * TH_NS_PER_S;
}

/* Removes a session from the list.  sessions->lock held. */
static struct session take_off(struct session *session)
{
	struct session taken = *session;

	memset(session, 0, sizeof(*session));
	return taken;
}

void th_diff_sessions_free(struct th_diff_sessions *sessions)
{
	if (!sessions)
		return;
	pthread_mutex_lock(&sessions->lock);
	sessions->stop = true;
	pthread_cond_broadcast(&sessions->changed);
	pthread_mutex_unlock(&sessions->lock);
	if (sessions->watched)
		pthread_join(sessions->watcher, NULL);
	for (size_t i = 0; i < TH_DIFF_SESSIONS_MAX; i++) {
		if (sessions->list[i].id)
			session_release(&sessions->list[i]);
	}
	pthread_cond_destroy(&sessions->changed);
	pthread_mutex_destroy(&sessions->lock);
	free(sessions);
}

void th_diff_sessions_end(struct th_diff_sessions *sessions)
{
	for (size_t i = 0; i < TH_DIFF_SESSIONS_MAX; i++) {
		struct session taken;

		pthread_mutex_lock(&sessions->lock);
		taken = take_off(&sessions->list[i]);
		pthread_mutex_unlock(&sessions->lock);
		if (taken.id)
			session_release(&taken);
	}
}

/* Returns the idle session with the first deadline, or NULL.  sessions->lock held. */
static struct session *first_due(struct th_diff_sessions *sessions)
{
	struct session *first = NULL;

	for (size_t i = 0; i < TH_DIFF_SESSIONS_MAX; i++) {
		struct session *session = &sessions->list[i];

		if (session->id && !session->busy && (!first || session->deadline_ns < first->deadline_ns))
			first = session;
	}
	return first;
}

static void *watch(void *arg)
{
	struct th_diff_sessions *sessions = arg;

	pthread_mutex_lock(&sessions->lock);
	while (!sessions->stop) {
		struct session *due = first_due(sessions);

		if (!due) {
			pthread_cond_wait(&sessions->changed, &sessions->lock);
		} else if (due->deadline_ns > th_monotonic_ns()) {
			struct timespec until = {
				.tv_sec = (time_t)(due->deadline_ns / TH_NS_PER_S),
				.tv_nsec = (long)(due->deadline_ns % TH_NS_PER_S),
			};

			pthread_cond_timedwait(&sessions->changed, &sessions->lock, &until);
		} else {
			struct session taken = take_off(due);

			pthread_mutex_unlock(&sessions->lock);
			session_release(&taken);
			pthread_mutex_lock(&sessions->lock);
		}
	}
	pthread_mutex_unlock(&sessions->lock);
	return NULL;
}

/* sessions->lock held. */
static int ensure_watcher(struct th_diff_sessions *sessions)
{
	if (!sessions->watched) {
		int err = pthread_create(&sessions->watcher, NULL, watch, sessions);

		if (err)
			return -err;
		sessions->watched = true;
	}
	return 0;
}

/* sessions->lock held. */
static struct session *find(struct th_diff_sessions *sessions, uint64_t id)
{
	for (size_t i = 0; i < TH_DIFF_SESSIONS_MAX; i++) {
		if (sessions->list[i].id == id)
			return &sessions->list[i];
	}
	return NULL;
}

int th_session_begin(struct th_diff_sessions *sessions, const struct th_session_source *source, uint64_t *ret_id)
{
	struct session *session;
	uint64_t id = 0;
	int err;

	while (!id) {
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return -EIO;
	}
	pthread_mutex_lock(&sessions->lock);
	session = find(sessions, 0);
	err = session ? ensure_watcher(sessions) : -EMFILE;
	if (!err) {
		*session = (struct session){ .id = id, .source = *source };
		set_deadline(session);
		pthread_cond_broadcast(&sessions->changed);
		*ret_id = id;
	}
	pthread_mutex_unlock(&sessions->lock);
	return err;
}

static int fill(struct session *session, uint8_t *buffer, size_t size, struct th_diff_session_piece *ret)
{
	int err = 0;

	*ret = (struct th_diff_session_piece){ 0 };
	while (ret->bytes < size && !err && !session->ended) {
		size_t part = size - ret->bytes < session->part.size ? size - ret->bytes : session->part.size;

		if (part) {
			memcpy(buffer + ret->bytes, session->part.data, part);
			ret->bytes += part;
			session->part.data = (const uint8_t *)session->part.data + part;
			session->part.size -= part;
			continue;
		}
		err = session->source.next(session->source.arg, &session->part);
		if (err == 1)
			session->ended = true;
	}
	ret->ended = session->ended;
	if (session->source.stats)
		session->source.stats(session->source.arg, &ret->stats);
	return err == -EAGAIN || err == 1 ? 0 : err;
}

/* Marks the session busy, for this thread only. */
static int claim(struct th_diff_sessions *sessions, uint64_t id, struct session **ret)
{
	struct session *session;
	int err = 0;

	pthread_mutex_lock(&sessions->lock);
	session = id ? find(sessions, id) : NULL;
	if (!session)
		err = -ESTALE;
	else if (session->busy)
		err = -EBUSY;
	else
		session->busy = true;
	*ret = session;
	pthread_mutex_unlock(&sessions->lock);
	return err;
}

int th_diff_session_read(struct th_diff_sessions *sessions, uint64_t id, void *buffer, size_t size,
			 struct th_diff_session_piece *ret)
{
	struct session *session, dead = { 0 };
	int err = claim(sessions, id, &session);

	if (err)
		return err;
	err = fill(session, buffer, size, ret);
	pthread_mutex_lock(&sessions->lock);
	if (err) {
		dead = take_off(session);
	} else {
		session->busy = false;
		set_deadline(session);
		pthread_cond_broadcast(&sessions->changed);
	}
	pthread_mutex_unlock(&sessions->lock);
	session_release(&dead);
	return err;
}

int th_diff_session_end(struct th_diff_sessions *sessions, uint64_t id)
{
	struct session *session, dead;
	int err = claim(sessions, id, &session);

	if (err)
		return err;
	pthread_mutex_lock(&sessions->lock);
	dead = take_off(session);
	pthread_mutex_unlock(&sessions->lock);
	session_release(&dead);
	return 0;
}

/* --- diffs --- */

/* A diff, and its last change as bytes. */
struct diff_source {
	struct th_fs_diff *diff;
	uint8_t *record;
};

static int diff_next(void *arg, struct th_slice *ret)
{
	struct diff_source *source = arg;
	struct th_fs_change change;
	int err = th_fs_diff_next(source->diff, &change);
	size_t size;

	*ret = (struct th_slice){ NULL, 0 };
	if (err)
		return err;
	free(source->record);
	size = th_fs_change_packed_size(&change);
	source->record = malloc(size);
	if (source->record) {
		th_fs_change_pack(&change, source->record);
		*ret = (struct th_slice){ source->record, size };
	} else {
		err = -ENOMEM;
	}
	th_fs_change_release(&change);
	return err;
}

static void diff_stats(void *arg, struct th_diff_stats *ret)
{
	th_fs_diff_stats(((struct diff_source *)arg)->diff, ret);
}

static void diff_close(void *arg)
{
	struct diff_source *source = arg;

	th_fs_diff_close(source->diff);
	free(source->record);
	free(source);
}

int th_diff_session_begin(struct th_diff_sessions *sessions, struct th_fs_diff *diff, uint64_t *ret_id)
{
	struct diff_source *source = calloc(1, sizeof(*source));
	struct th_session_source begun = {
		.arg = source,
		.next = diff_next,
		.stats = diff_stats,
		.close = diff_close,
		.idle_seconds = TH_DIFF_SESSION_IDLE_SECONDS,
	};
	int err;

	if (!source)
		return -ENOMEM;
	source->diff = diff;
	err = th_session_begin(sessions, &begun, ret_id);
	if (err)
		free(source);
	return err;
}
