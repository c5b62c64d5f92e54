#include "sink.h"

#include <stddef.h>

enum { NONE = -1, ETHERNET = 14 };

unsigned mark_position(const uint8_t *frame, unsigned length)
{
    unsigned type, ip_length, protocol, at;
    uint16_t magic;

    if (length < ETHERNET + 40)
        return 0;
    type = big16(get16(frame + 12));
    if (type != 0x0800 && type != 0x86dd)
        return 0;
    ip_length = type == 0x0800 ? 20 : 40;
    protocol = frame[ETHERNET + (type == 0x0800 ? 9 : 6)];
    if (protocol != 6 && protocol != 17)
        return 0;
    at = ETHERNET + ip_length + (protocol == 6 ? 20 : 8);
    if (at + sizeof(struct mark) > length)
        return 0;
    memcpy(&magic, frame + at + offsetof(struct mark, magic), 2);
    return magic == MARK_MAGIC ? at : 0;
}

static uint16_t sum_of_header(const uint8_t *header)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 20; i += 2)
        sum += get16(header + i);
    return folded(sum);
}

/* What is wrong with the outer headers, or NONE. */
static int outer_failure(const struct configuration *c, const uint8_t *frame, unsigned length)
{
    const uint8_t *ip = frame + ETHERNET, *udp = ip + 20, *vxlan = udp + 8;
    unsigned vni = (unsigned)vxlan[4] << 16 | (unsigned)vxlan[5] << 8 | vxlan[6];

    if (memcmp(frame, c->remote_mac, 6) != 0 || memcmp(frame + 6, c->local_mac, 6) != 0)
        return FAILURE_OUTER_ETHERNET;
    /* No options, no fragment, a time to live. */
    if (ip[0] != 0x45 || (big16(get16(ip + 6)) & 0x3fff) != 0 || ip[8] == 0 || ip[9] != 17)
        return FAILURE_OUTER_IP;
    if (big16(get16(ip + 2)) != length - ETHERNET)
        return FAILURE_LENGTH;
    if (sum_of_header(ip) != 0)
        return FAILURE_OUTER_IP_CHECKSUM;
    if (memcmp(ip + 12, c->local_ipv4, 4) != 0 || memcmp(ip + 16, c->remote_ipv4, 4) != 0)
        return FAILURE_OUTER_ADDRESS;
    /* RFC 7348: a source port out of the dynamic range is a recommendation; OVS takes its own range. */
    if (big16(get16(udp + 2)) != c->udp_port || big16(get16(udp)) < 1024 || get16(udp + 6) != 0)
        return FAILURE_OUTER_UDP;
    if (big16(get16(udp + 4)) != length - ETHERNET - 20)
        return FAILURE_LENGTH;
    if (vxlan[0] != 8 || vxlan[1] != 0 || vxlan[2] != 0 || vxlan[3] != 0 || vni != c->vni || vxlan[7] != 0)
        return FAILURE_VXLAN;
    return NONE;
}

/* True for a frame that speaks of none of our flows, such as a neighbour's question. */
static bool is_foreign(const struct configuration *c, const uint8_t *frame, unsigned length)
{
    unsigned type = length < ETHERNET ? 0 : big16(get16(frame + 12));

    if (mark_position(frame, length) != 0)
        return false;
    /* Whatever looks like the tunnel's has to be right. */
    return !(c->tunnelled && length >= 42 && type == 0x0800 && frame[ETHERNET + 9] == 17);
}

/* What is wrong with a frame of the overlay, or NONE. It is generated once more and has to be the same. */
static int inner_failure(const struct configuration *c, const uint8_t *frame, unsigned length, bool reverse,
             struct results_queue *results)
{
    unsigned at = mark_position(frame, length);
    /* A program that forwards by MAC address puts its own addresses there. */
    unsigned skipped = c->tunnelled ? 0 : 12;
    static _Thread_local struct template wanted;
    static _Thread_local struct configuration plain;
    static _Thread_local uint8_t bytes[FRAME_MAX];
    struct mark mark;
    bool said_reverse;

    if (at == 0 || length > FRAME_MAX - OUTER_SIZE)
        return FAILURE_INNER;
    memcpy(&mark, frame + at, sizeof mark);
    said_reverse = mark.kind & KIND_REVERSE;
    results->reverse += said_reverse;
    results->forward += !said_reverse;
    if (flow_is_forbidden(c, mark.flow)) {
        results->forbidden++;
        return FAILURE_FORBIDDEN;
    }
    if (said_reverse != reverse)
        return FAILURE_SIDE;
    plain = *c;
    plain.tunnelled = false; /* the outer headers are off already, or were never there */
    template_fill(&wanted, &plain, reverse, flow_is_six(c, mark.flow), flow_is_tcp(c, mark.flow),
              mark.kind & KIND_STAGE, length);
    if (wanted.mark_at != at)
        return FAILURE_INNER;
    packet_write(&wanted, &plain, mark.flow, mark.stamp, bytes);
    return memcmp(frame + skipped, bytes + skipped, length - skipped) == 0 ? NONE : FAILURE_INNER;
}

static void note(struct results_queue *results, int failure, const uint8_t *frame, unsigned length)
{
    if (results->sample_length == 0) {
        unsigned kept = length < sizeof results->sample ? length : sizeof results->sample;

        memcpy(results->sample, frame, kept);
        results->sample_length = length;
    }
    results->failures[failure]++;
}

void check_frame(const struct configuration *c, enum queue_side side, const uint8_t *frame, unsigned length,
         struct results_queue *results)
{
    unsigned base = side == SIDE_UNDERLAY && c->tunnelled ? OUTER_SIZE : 0;
    int failure = NONE;

    if (is_foreign(c, frame, length)) {
        results->foreign++;
        return;
    }
    if (base != 0)
        failure = length < base + 60 ? FAILURE_LENGTH : outer_failure(c, frame, length);
    if (failure == NONE)
        failure = inner_failure(c, frame + base, length - base, side == SIDE_GUEST, results);
    if (failure != NONE)
        note(results, failure, frame, length);
}
