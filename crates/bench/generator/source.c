#include "source.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

/* Of each twelve packets seven are small, four are middling and one is large. */
static const uint8_t imix[IMIX_ROUND] = { 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0 };

void source_give(struct source *source, const struct work *work)
{
    atomic_store_explicit(&source->done, false, memory_order_relaxed);
    atomic_store_explicit(&source->work, work, memory_order_release);
}

static void begin(struct source *source, const struct work *work, uint64_t now)
{
    source->current = work;
    source->cursor = 0;
    source->last = now;
    source->credit = 0;
    if (source->random == 0)
        source->random = 0x9e3779b97f4a7c15ull * (source->queue + 1);
}

/* How many of `wanted` the pace allows now. A program that stood still does not get all of it back at once. */
static uint16_t allowed(struct source *source, const struct work *work, uint64_t now, uint16_t wanted)
{
    source->credit += (double)(now - source->last) * work->pace;
    source->last = now;
    if (source->credit > 64 + work->most)
        source->credit = 64 + work->most;
    if (source->credit < wanted)
        wanted = (uint16_t)source->credit;
    source->credit -= wanted;
    return wanted;
}

/* A xorshift: a few cycles, no memory. */
static inline uint32_t next_random(struct source *source)
{
    uint64_t x = source->random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    source->random = x;
    return (uint32_t)(x >> 32);
}

/* The flow that is this queue's `number`th. Flows belong to receive queues in turn; `crossed`, the reverse packets of every
 * other one come on the queue behind its own. */
static inline uint32_t flow_at(const struct source *source, const struct work *work, uint32_t number)
{
    const struct configuration *c = work->templates->configuration;
    uint32_t queue = source->queue;

    if (c->queues == 1)
        return number;
    if (work->reverse && c->crossed && (number & 1))
        queue = queue == 0 ? c->queues - 1 : queue - 1;
    return number * c->queues + queue;
}

static inline uint32_t next_flow(struct source *source, const struct work *work, uint32_t share)
{
    uint32_t number;

    if (!work->once && work->order == ORDER_RANDOM) {
        number = (uint32_t)(((uint64_t)next_random(source) * share) >> 32);
    } else {
        number = source->cursor++;
        if (!work->once && work->order == ORDER_SEQUENTIAL && source->cursor == share)
            source->cursor = 0;
    }
    return flow_at(source, work, number);
}

static inline void fill(struct source *source, const struct work *work, struct rte_mbuf *packet, uint32_t share, uint32_t stamp)
{
    const struct templates *all = work->templates;
    const struct configuration *c = all->configuration;
    uint32_t flow = next_flow(source, work, share);
    unsigned size = all->imix ? imix[source->burst_number++ % IMIX_ROUND] : 0;
    const struct template *t = &all->all[work->reverse][flow_is_six(c, flow)][flow_is_tcp(c, flow)][work->stage][size];

    packet_write(t, c, flow, stamp, rte_pktmbuf_mtod(packet, uint8_t *));
    packet->data_len = t->length;
    packet->pkt_len = t->length;
    /* As a network card that has looked would say. */
    packet->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    if (c->forbidden_every != 0)
        source->results->forbidden += flow_is_forbidden(c, flow);
    source->results->bytes += t->length;
}

uint16_t source_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count, uint16_t room, void *user)
{
    struct source *source = user;
    const struct work *work = atomic_load_explicit(&source->work, memory_order_acquire);
    uint32_t share;
    uint64_t now;
    uint16_t wanted = room - count;

    (void)queue;
    if (work == NULL || atomic_load_explicit(&source->done, memory_order_relaxed))
        return count;
    now = rte_rdtsc();
    if (work != source->current)
        begin(source, work, now);
    share = work->templates->configuration->flows / work->templates->configuration->queues;
    if (work->once && share - source->cursor < wanted)
        wanted = share - source->cursor;
    if (work->pace > 0)
        wanted = allowed(source, work, now, wanted);
    if (wanted == 0)
        return count;
    if (rte_pktmbuf_alloc_bulk(work->pool, packets + count, wanted) != 0) {
        source->results->no_buffer++;
        return count;
    }
    for (uint16_t i = count; i < count + wanted; i++) {
        fill(source, work, packets[i], share, (uint32_t)now);
        packets[i]->port = port;
    }
    source->results->packets += wanted;
    source->results->tsc = now;
    if (work->once && source->cursor >= share)
        atomic_store_explicit(&source->done, true, memory_order_release);
    return count + wanted;
}
