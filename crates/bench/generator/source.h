/* The generating side: a callback on each receive queue, which makes packets where the device has none. */
#ifndef ANET_SOURCE_H
#define ANET_SOURCE_H

#include <rte_ethdev.h>
#include <stdatomic.h>

#include "packet.h"
#include "results.h"

/* What a queue is to send. Never changed once it is given out, and never freed: a thread may be in the middle of it. */
struct work {
    const struct templates *templates;
    struct rte_mempool *pool;
    bool reverse;
    enum stage stage;
    enum order order;
    bool once; /* each flow once, in order, then nothing */
    double pace; /* packets per cycle; 0: no limit */
    double most; /* packets that may be made up for after the program stood still */
};

struct source {
    _Atomic(const struct work *) work; /* written by the control thread */
    atomic_bool done; /* the last packet of `once` was made */
    /* The rest is the thread's own that serves the queue. */
    const struct work *current;
    uint32_t queue;
    uint32_t cursor;
    uint32_t burst_number;
    uint64_t random;
    uint64_t last;
    double credit;
    struct results_queue *results;
} __rte_cache_aligned;

void source_give(struct source *source, const struct work *work);

uint16_t source_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count, uint16_t room, void *source);

#endif
