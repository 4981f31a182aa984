/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/diff/diff_session.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "journal/base/clock.h"

#define IDLE_NS (TH_DIFF_SESSION_IDLE_SECONDS * TH_NS_PER_S)

struct session {
	uint64_t id; /* 0: free */
	bool busy; /* a thread uses it without the lock */
	uint64_t deadline_ns; /* of th_monotonic_ns: ended then if it is not busy */
	struct th_fs_diff *diff;
	bool ended;
	/* The change being sent. */
	uint8_t *record;
	size_t record_size, record_at;
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
	th_fs_diff_close(session->diff);
	free(session->record);
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

int th_diff_session_begin(struct th_diff_sessions *sessions, struct th_fs_diff *diff, uint64_t *ret_id)
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
		*session = (struct session){ .id = id, .diff = diff };
		session->deadline_ns = th_monotonic_ns() + IDLE_NS;
		pthread_cond_broadcast(&sessions->changed);
		*ret_id = id;
	}
	pthread_mutex_unlock(&sessions->lock);
	return err;
}

/* Packs the next change into session->record.  Returns 0, or as th_fs_diff_next. */
static int next_record(struct session *session)
{
	struct th_fs_change change;
	int err = th_fs_diff_next(session->diff, &change);

	if (err)
		return err;
	session->record_at = 0;
	session->record_size = th_fs_change_packed_size(&change);
	session->record = malloc(session->record_size);
	if (session->record)
		th_fs_change_pack(&change, session->record);
	else
		err = -ENOMEM;
	th_fs_change_release(&change);
	return err;
}

/* Copies as much of the record as fits. */
static size_t copy_record(struct session *session, uint8_t *buffer, size_t size)
{
	size_t rest = session->record_size - session->record_at;

	if (size > rest)
		size = rest;
	memcpy(buffer, session->record + session->record_at, size);
	session->record_at += size;
	if (session->record_at == session->record_size) {
		free(session->record);
		session->record = NULL;
	}
	return size;
}

static int fill(struct session *session, uint8_t *buffer, size_t size, struct th_diff_session_piece *ret)
{
	int err = 0;

	ret->bytes = 0;
	while (ret->bytes < size && !err) {
		if (!session->record && !session->ended)
			err = next_record(session);
		if (err == 1) {
			session->ended = true;
			err = 0;
		}
		if (!session->record)
			break;
		ret->bytes += copy_record(session, buffer + ret->bytes, size - ret->bytes);
	}
	ret->ended = session->ended && !session->record;
	th_fs_diff_stats(session->diff, &ret->stats);
	return err == -EAGAIN ? 0 : err;
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
		session->deadline_ns = th_monotonic_ns() + IDLE_NS;
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
