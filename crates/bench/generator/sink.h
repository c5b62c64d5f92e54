/* The far side: a callback on each transmit queue, which counts what comes out and may look at every byte of it. */
#ifndef ANET_SINK_H
#define ANET_SINK_H

#include <rte_ethdev.h>
#include <stdatomic.h>

#include "packet.h"
#include "results.h"

struct sink {
    _Atomic(const struct configuration *) configuration; /* NULL: nothing is asked yet */
    enum queue_side side;
    struct results_queue *results;
} __rte_cache_aligned;

uint16_t sink_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count, void *sink);

/* Holds a frame against what was generated, and counts. */
void check_frame(const struct configuration *configuration, enum queue_side side, const uint8_t *frame, unsigned length,
         struct results_queue *results);

/* Where the mark is in an inner frame; 0 where it is none of ours. */
unsigned mark_position(const uint8_t *frame, unsigned length);

#endif
