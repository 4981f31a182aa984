/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree/history.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* --- recording --- */

uint64_t th_history_tick(void)
{
	static atomic_ulong ticks = 1; /* 0 and 1 precede all others */

	return atomic_fetch_add(&ticks, 1) + 1;
}

uint64_t th_history_id(void)
{
	static atomic_ulong ids;

	return atomic_fetch_add(&ids, 1) + 1;
}

struct th_history_txn th_history_begin(void)
{
	struct th_history_txn txn = { .id = th_history_id() };

	for (unsigned key = 0; key < TH_HISTORY_KEYS; key++)
		txn.read[key] = TH_HISTORY_UNREAD;
	return txn;
}

static void *need(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void th_history_add(struct th_history *history, const struct th_history_txn *txn)
{
	if (history->count == history->capacity) {
		history->capacity = history->capacity ? 2 * history->capacity : 64;
		history->txns = need(reallocarray(history->txns, history->capacity, sizeof(*txn)));
	}
	history->txns[history->count++] = *txn;
}

void th_history_add_glance(struct th_history *history, const struct th_history_glance *glance)
{
	if (history->nglances == history->glances_capacity) {
		history->glances_capacity = history->glances_capacity ? 2 * history->glances_capacity : 64;
		history->glances = need(reallocarray(history->glances, history->glances_capacity, sizeof(*glance)));
	}
	history->glances[history->nglances++] = *glance;
}

void th_history_join(struct th_history *to, struct th_history *from)
{
	for (size_t i = 0; i < from->count; i++)
		th_history_add(to, &from->txns[i]);
	for (size_t i = 0; i < from->nglances; i++)
		th_history_add_glance(to, &from->glances[i]);
	th_history_release(from);
}

void th_history_release(struct th_history *history)
{
	free(history->txns);
	free(history->glances);
	*history = (struct th_history){ 0 };
}

/* --- which transaction precedes which --- */

struct edge {
	uint32_t from, to;
};

/* The nodes are the transactions, in the order of their ids, followed by the moments at which one began or ended. */
struct graph {
	struct th_history *history;
	uint32_t *next; /* [transaction][key]: the writer of the version after its own */
	uint32_t *rank; /* [transaction][key]: number of versions before its own */
	struct edge *edges;
	size_t nedges, capacity;
	uint32_t *order; /* transactions, in a serial order */
	char why[200];
};

static uint32_t *cell(uint32_t *table, uint32_t txn, unsigned key)
{
	return &table[(size_t)txn * TH_HISTORY_KEYS + key];
}

static void add_edge(struct graph *graph, uint32_t from, uint32_t to)
{
	if (graph->nedges == graph->capacity) {
		graph->capacity = graph->capacity ? 2 * graph->capacity : 1024;
		graph->edges = need(reallocarray(graph->edges, graph->capacity, sizeof(*graph->edges)));
	}
	graph->edges[graph->nedges++] = (struct edge){ from, to };
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = ((const struct th_history_txn *)a)->id, y = ((const struct th_history_txn *)b)->id;

	return x < y ? -1 : x > y;
}

/* Returns the transaction that wrote this version of the key; NONE if none did. */
static uint32_t writer_of(const struct graph *graph, unsigned key, uint64_t version)
{
	const struct th_history *history = graph->history;
	struct th_history_txn wanted = { .id = version };
	const struct th_history_txn *found;

	found = bsearch(&wanted, history->txns, history->count, sizeof(wanted), compare_ids);
	return found && found->wrote[key] ? (uint32_t)(found - history->txns) : NONE;
}

/* Links the versions of each key.  Returns false if they form no chain. */
static bool chain_versions(struct graph *graph)
{
	const struct th_history *history = graph->history;

	for (uint32_t i = 1; i < history->count; i++) {
		const struct th_history_txn *txn = &history->txns[i];

		for (unsigned key = 0; key < TH_HISTORY_KEYS; key++) {
			uint32_t writer;

			if (txn->read[key] == TH_HISTORY_UNREAD)
				continue;
			writer = writer_of(graph, key, txn->read[key]);
			if (writer == NONE) {
				snprintf(graph->why, sizeof(graph->why),
					 "%" PRIu64 " read version %" PRIu64
					 " of key %u, which no transaction committed",
					 txn->id, txn->read[key], key);
				return false;
			}
			if (!txn->wrote[key])
				continue;
			if (*cell(graph->next, writer, key) != NONE) {
				snprintf(graph->why, sizeof(graph->why),
					 "lost update of key %u: %" PRIu64 " and %" PRIu64
					 " both followed version %" PRIu64,
					 key, history->txns[*cell(graph->next, writer, key)].id, txn->id,
					 txn->read[key]);
				return false;
			}
			*cell(graph->next, writer, key) = i;
		}
	}
	return true;
}

static void rank_versions(struct graph *graph)
{
	for (unsigned key = 0; key < TH_HISTORY_KEYS; key++) {
		uint32_t rank = 0;

		for (uint32_t at = 0; at != NONE; at = *cell(graph->next, at, key))
			*cell(graph->rank, at, key) = rank++;
	}
}

static void add_accesses(struct graph *graph)
{
	const struct th_history *history = graph->history;

	for (uint32_t i = 1; i < history->count; i++)
		for (unsigned key = 0; key < TH_HISTORY_KEYS; key++) {
			uint32_t writer, next;

			if (history->txns[i].read[key] == TH_HISTORY_UNREAD)
				continue;
			writer = writer_of(graph, key, history->txns[i].read[key]);
			next = *cell(graph->next, writer, key);
			add_edge(graph, writer, i);
			if (next != NONE && next != i)
				add_edge(graph, i, next);
		}
}

struct moment {
	uint64_t tick;
	uint32_t txn;
	bool end;
};

static int compare_moments(const void *a, const void *b)
{
	uint64_t x = ((const struct moment *)a)->tick, y = ((const struct moment *)b)->tick;

	return x < y ? -1 : x > y;
}

/* Adds time as a chain of moments: a transaction is between the moments of its begin and its end. */
static void add_time(struct graph *graph)
{
	const struct th_history *history = graph->history;
	uint32_t count = (uint32_t)history->count;
	struct moment *moments = need(calloc(count, 2 * sizeof(*moments)));

	for (uint32_t i = 0; i < count; i++) {
		moments[2 * i] = (struct moment){ history->txns[i].begin, i, false };
		moments[2 * i + 1] = (struct moment){ history->txns[i].end, i, true };
	}
	qsort(moments, 2 * count, sizeof(*moments), compare_moments);
	for (uint32_t i = 0; i < 2 * count; i++) {
		if (i > 0)
			add_edge(graph, count + i - 1, count + i);
		if (moments[i].end)
			add_edge(graph, moments[i].txn, count + i);
		else
			add_edge(graph, count + i, moments[i].txn);
	}
	free(moments);
}

/* --- the serial order --- */

static int compare_edges(const void *a, const void *b)
{
	uint32_t x = ((const struct edge *)a)->from, y = ((const struct edge *)b)->from;

	return x < y ? -1 : x > y;
}

/* Sorts the nodes so that all edges point forward (Kahn 1962).  Returns false if there is a cycle. */
static bool sort_nodes(struct graph *graph)
{
	uint32_t count = (uint32_t)graph->history->count, nodes = 3 * count, ready = 0, done = 0, ordered = 0;
	uint32_t *waits = need(calloc(nodes, sizeof(*waits))), *queue = need(calloc(nodes, sizeof(*queue)));
	size_t *first = need(calloc(nodes + 1, sizeof(*first)));

	qsort(graph->edges, graph->nedges, sizeof(*graph->edges), compare_edges);
	for (size_t i = 0; i < graph->nedges; i++) {
		waits[graph->edges[i].to]++;
		first[graph->edges[i].from + 1] = i + 1;
	}
	for (uint32_t i = 0; i < nodes; i++) {
		if (first[i + 1] == 0)
			first[i + 1] = first[i];
		if (waits[i] == 0)
			queue[ready++] = i;
	}
	for (; done < ready; done++) {
		if (queue[done] < count)
			graph->order[ordered++] = queue[done];
		for (size_t i = first[queue[done]]; i < first[queue[done] + 1]; i++)
			if (--waits[graph->edges[i].to] == 0)
				queue[ready++] = graph->edges[i].to;
	}
	for (uint32_t i = 0; i < count && done < nodes; i++)
		if (waits[i]) {
			snprintf(graph->why, sizeof(graph->why),
				 "no serial order: %" PRIu64 " is in a cycle, or after one",
				 graph->history->txns[i].id);
			break;
		}
	free(waits);
	free(queue);
	free(first);
	return done == nodes;
}

/* Replays the transactions in their order.  Returns false if one reads another version than it did. */
static bool play(struct graph *graph)
{
	uint64_t state[TH_HISTORY_KEYS] = { TH_HISTORY_NOTHING };

	for (size_t i = 0; i < graph->history->count; i++) {
		const struct th_history_txn *txn = &graph->history->txns[graph->order[i]];

		for (unsigned key = 0; key < TH_HISTORY_KEYS; key++) {
			if (txn->read[key] != TH_HISTORY_UNREAD && txn->read[key] != state[key]) {
				snprintf(graph->why, sizeof(graph->why),
					 "%" PRIu64 " read version %" PRIu64 " of key %u where it should be %" PRIu64,
					 txn->id, txn->read[key], key, state[key]);
				return false;
			}
			if (txn->wrote[key])
				state[key] = txn->id;
		}
	}
	return true;
}

/* --- glances: for each key, versions never go back in time --- */

/* A version that existed: not before `from`, and seen by every transaction that begins after `until`. */
struct sight {
	uint64_t from, until;
	uint32_t rank;
	bool glance;
};

static int compare_from(const void *a, const void *b)
{
	uint64_t x = ((const struct sight *)a)->from, y = ((const struct sight *)b)->from;

	return x < y ? -1 : x > y;
}

static int compare_until(const void *a, const void *b)
{
	uint64_t x = ((const struct sight *)a)->until, y = ((const struct sight *)b)->until;

	return x < y ? -1 : x > y;
}

/* Collects all times at which versions of one key were seen.  Returns false if a version has no writer. */
static bool collect_sights(struct graph *graph, unsigned key, struct sight *sights, size_t *ret_count)
{
	const struct th_history *history = graph->history;
	size_t count = 0;

	for (uint32_t i = 0; i < history->count; i++)
		if (history->txns[i].wrote[key])
			sights[count++] = (struct sight){ history->txns[i].begin, history->txns[i].end,
							  *cell(graph->rank, i, key), false };
	for (size_t i = 0; i < history->nglances; i++) {
		const struct th_history_glance *glance = &history->glances[i];
		uint32_t writer;

		if (glance->key != key)
			continue;
		writer = writer_of(graph, key, glance->version);
		if (writer == NONE || history->txns[writer].begin > glance->end) {
			snprintf(graph->why, sizeof(graph->why),
				 "version %" PRIu64 " of key %u was seen before a transaction committed it",
				 glance->version, key);
			return false;
		}
		sights[count++] = (struct sight){ glance->begin, glance->end, *cell(graph->rank, writer, key), true };
	}
	*ret_count = count;
	return true;
}

static bool check_key(struct graph *graph, unsigned key)
{
	size_t most = graph->history->count + graph->history->nglances, count, ended = 0;
	struct sight *begun = need(calloc(most, sizeof(*begun))), *until = need(calloc(most, sizeof(*until)));
	bool ok = collect_sights(graph, key, begun, &count);
	uint32_t floor = 0;

	if (ok) {
		memcpy(until, begun, count * sizeof(*begun));
		qsort(begun, count, sizeof(*begun), compare_from);
		qsort(until, count, sizeof(*until), compare_until);
	}
	for (size_t i = 0; ok && i < count; i++) {
		for (; until[ended].until < begun[i].from; ended++)
			floor = until[ended].rank > floor ? until[ended].rank : floor;
		ok = !begun[i].glance || begun[i].rank >= floor;
	}
	if (!ok && !*graph->why)
		snprintf(graph->why, sizeof(graph->why), "an old version of key %u was seen after a newer one", key);
	free(begun);
	free(until);
	return ok;
}

static bool check_glances(struct graph *graph)
{
	bool ok = true;

	for (unsigned key = 0; key < TH_HISTORY_KEYS && ok; key++)
		ok = check_key(graph, key);
	return ok;
}

/* Adds a first transaction, before all others, that left all keys without a version. */
static void add_first(struct th_history *history)
{
	struct th_history_txn first = { .id = TH_HISTORY_NOTHING, .begin = 0, .end = 1 };

	for (unsigned key = 0; key < TH_HISTORY_KEYS; key++) {
		first.read[key] = TH_HISTORY_UNREAD;
		first.wrote[key] = true;
	}
	th_history_add(history, &first);
	qsort(history->txns, history->count, sizeof(first), compare_ids);
}

const char *th_history_check(struct th_history *history)
{
	static _Thread_local struct graph graph;
	size_t cells;
	bool ok;

	add_first(history);
	cells = history->count * TH_HISTORY_KEYS;
	graph = (struct graph){ .history = history };
	graph.next = need(malloc(cells * sizeof(*graph.next)));
	graph.rank = need(calloc(cells, sizeof(*graph.rank)));
	graph.order = need(calloc(history->count, sizeof(*graph.order)));
	for (size_t i = 0; i < cells; i++)
		graph.next[i] = NONE;
	ok = chain_versions(&graph);
	if (ok) {
		rank_versions(&graph);
		add_accesses(&graph);
		add_time(&graph);
		ok = sort_nodes(&graph) && play(&graph) && check_glances(&graph);
	}
	free(graph.next);
	free(graph.rank);
	free(graph.order);
	free(graph.edges);
	return ok ? NULL : graph.why;
}
