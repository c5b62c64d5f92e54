#include "sink.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>

/* The bucket of a latency: eight for each power of two, so that a value is known to an eighth. */
static unsigned bucket(uint32_t cycles)
{
    unsigned power = cycles < 8 ? 3 : 31 - (unsigned)__builtin_clz(cycles);

    return cycles < 8 ? cycles : (power - 2) * 8 + (cycles >> (power - 3) & 7);
}

/* One packet of a burst: enough for a distribution, and cheap. */
static void sample_latency(const struct sink *sink, const struct configuration *c, struct rte_mbuf *packet, uint32_t now)
{
    uint8_t room[128];
    unsigned length = packet->pkt_len < sizeof room ? packet->pkt_len : sizeof room;
    unsigned base = sink->side == SIDE_UNDERLAY && c->tunnelled ? OUTER_SIZE : 0;
    const uint8_t *frame = rte_pktmbuf_read(packet, 0, length, room);
    struct mark mark;
    unsigned at;

    if (frame == NULL || length <= base)
        return;
    at = mark_position(frame + base, length - base);
    if (at == 0)
        return;
    memcpy(&mark, frame + base + at, sizeof mark);
    sink->results->latency[bucket(now - mark.stamp)]++;
}

uint16_t sink_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count, void *user)
{
    struct sink *sink = user;
    const struct configuration *c = atomic_load_explicit(&sink->configuration, memory_order_acquire);
    uint64_t now = rte_rdtsc(), bytes = 0;

    (void)port;
    (void)queue;
    if (c == NULL || count == 0)
        return count;
    for (uint16_t i = 0; i < count; i++)
        bytes += packets[i]->pkt_len;
    sample_latency(sink, c, packets[0], (uint32_t)now);
    for (uint16_t i = 0; c->check && i < count; i++) {
        uint8_t room[FRAME_MAX];
        unsigned length = packets[i]->pkt_len;
        const uint8_t *frame = length <= sizeof room ? rte_pktmbuf_read(packets[i], 0, length, room) : NULL;

        if (frame == NULL)
            sink->results->failures[FAILURE_LENGTH]++;
        else
            check_frame(c, sink->side, frame, length, sink->results);
    }
    sink->results->bytes += bytes;
    sink->results->tsc = now;
    sink->results->packets += count;
    return count;
}
