#include "packet.h"

#include <stdlib.h>

enum { ETHERNET = 14, IPV4 = 20, IPV6 = 40, UDP = 8, TCP = 20 };

static const uint16_t imix_sizes[SIZES] = { 64, 594, 1518 };

static uint32_t sum_of(const uint8_t *bytes, unsigned length)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i + 1 < length; i += 2)
        sum += get16(bytes + i);
    if (length & 1) {
        uint8_t last[2] = { bytes[length - 1], 0 };

        sum += get16(last);
    }
    return sum;
}

static void put_big16(uint8_t *at, uint16_t value)
{
    put16(at, big16(value));
}

static void put_big32(uint8_t *at, uint32_t value)
{
    put_big16(at, (uint16_t)(value >> 16));
    put_big16(at + 2, (uint16_t)value);
}

static void ethernet(uint8_t *at, const uint8_t *to, const uint8_t *from, uint16_t type)
{
    memcpy(at, to, 6);
    memcpy(at + 6, from, 6);
    put_big16(at + 12, type);
}

static void ipv4(uint8_t *at, uint16_t length, uint8_t protocol, const uint8_t *from, const uint8_t *to)
{
    at[0] = 0x45;
    put_big16(at + 2, length);
    put_big16(at + 6, 0x4000); /* do not fragment */
    at[8] = 64;
    at[9] = protocol;
    memcpy(at + 12, from, 4);
    memcpy(at + 16, to, 4);
}

static void ipv6(uint8_t *at, uint16_t payload, uint8_t protocol, const uint8_t *from, const uint8_t *to)
{
    at[0] = 0x60;
    put_big16(at + 4, payload);
    at[6] = protocol;
    at[7] = 64;
    memcpy(at + 8, from, 16);
    memcpy(at + 24, to, 16);
}

/* A handshake in numbers that a strict tracker takes; data then says the same bytes again and again, in the window. */
static void tcp(uint8_t *at, bool reverse, enum stage stage)
{
    static const uint8_t flags[STAGES] = { 0x10, 0x02, 0x12, 0x10 };
    uint32_t mine = reverse ? 2000 : 1000, other = reverse ? 1000 : 2000;
    bool opens = stage == STAGE_SYN || stage == STAGE_SYN_ACK;

    put_big32(at + 4, opens ? mine : mine + 1);
    put_big32(at + 8, stage == STAGE_SYN ? 0 : other + 1);
    at[12] = 5 << 4;
    at[13] = flags[stage];
    put_big16(at + 14, 65535);
}

/* The outer headers of a packet that comes out of the tunnel. Without a UDP checksum, as RFC 7348 has it. */
static void outer(uint8_t *at, const struct configuration *c, uint16_t inner_length)
{
    ethernet(at, c->local_mac, c->remote_mac, 0x0800);
    ipv4(at + 14, IPV4 + UDP + 8 + inner_length, 17, c->remote_ipv4, c->local_ipv4);
    put16(at + 14 + 10, folded(sum_of(at + 14, IPV4)));
    put_big16(at + 36, (uint16_t)c->udp_port);
    put_big16(at + 38, UDP + 8 + inner_length);
    at[42] = 8;
    put_big32(at + 46, c->vni << 8);
}

/* The inner frame, without the flow's words, at `base` of the template. */
static void inner(struct template *t, const struct configuration *c, unsigned base, bool reverse, bool six, bool is_tcp,
          enum stage stage)
{
    uint8_t *frame = t->bytes + base, *ip = frame + ETHERNET;
    unsigned ip_length = six ? IPV6 : IPV4, l4_length = is_tcp ? TCP : UDP;
    uint8_t *l4 = ip + ip_length, protocol = is_tcp ? 6 : 17;
    uint16_t rest = t->length - base - ETHERNET; /* behind Ethernet */
    uint16_t segment = rest - ip_length;
    const uint8_t *guest = six ? c->guest_ipv6 : c->guest_ipv4, *peer = six ? c->peer_ipv6 : c->peer_ipv4;
    unsigned source = six ? 8 : 12, address = six ? 16 : 4, peer_at = source + (reverse ? 0 : address);
    struct mark mark = { .magic = MARK_MAGIC, .kind = stage | (reverse ? KIND_REVERSE : 0) };

    ethernet(frame, reverse ? c->guest_mac : c->peer_mac, reverse ? c->peer_mac : c->guest_mac, six ? 0x86dd : 0x0800);
    (six ? ipv6 : ipv4)(ip, six ? segment : rest, protocol, reverse ? peer : guest, reverse ? guest : peer);
    if (is_tcp)
        tcp(l4, reverse, stage);
    else
        put_big16(l4 + 4, segment);
    for (unsigned i = l4_length; i < segment; i++)
        l4[i] = (uint8_t)(i * 7);
    memcpy(l4 + l4_length, &mark, sizeof mark);
    t->mac_at = base + (reverse ? 6 : 0) + 4;
    t->ip_at = base + ETHERNET + peer_at + address - 2;
    memset(t->bytes + t->ip_at, 0, 2);
    t->ip_checksum_at = six ? 0 : base + ETHERNET + 10;
    t->guest_port_at = base + ETHERNET + ip_length + (reverse ? 2 : 0);
    t->peer_port_at = base + ETHERNET + ip_length + (reverse ? 0 : 2);
    t->checksum_at = base + ETHERNET + ip_length + (is_tcp ? 16 : 6);
    t->mark_at = base + ETHERNET + ip_length + l4_length;
    t->ip_sum = sum_of(ip, ip_length);
    t->sum = sum_of(l4, segment) + sum_of(ip + source, 2 * address) + big16(protocol) + big16(segment);
}

void template_fill(struct template *t, const struct configuration *c, bool reverse, bool six, bool is_tcp,
           enum stage stage, unsigned inner_length)
{
    unsigned base = reverse && c->tunnelled ? OUTER_SIZE : 0;

    memset(t, 0, sizeof *t);
    t->length = base + inner_length;
    if (base != 0) {
        outer(t->bytes, c, inner_length);
        t->entropy_at = 34;
    }
    inner(t, c, base, reverse, six, is_tcp, stage);
}

/* No frame is too short for its headers and the mark. */
static unsigned at_least(unsigned size, bool six, bool is_tcp)
{
    unsigned needed = ETHERNET + (six ? IPV6 : IPV4) + (is_tcp ? TCP : UDP) + sizeof(struct mark);

    return size < needed ? needed : size;
}

struct templates *templates_new(const struct configuration *c)
{
    struct templates *made = aligned_alloc(64, (sizeof *made + 63) / 64 * 64);

    if (made == NULL)
        return NULL;
    made->configuration = c;
    made->imix = c->size == 0;
    for (unsigned i = 0; i < 2 * 2 * 2 * STAGES * SIZES; i++) {
        unsigned size = i % SIZES, stage = i / SIZES % STAGES, kind = i / SIZES / STAGES;
        bool is_tcp = kind & 1, six = kind & 2, reverse = kind & 4;
        unsigned wanted = made->imix ? imix_sizes[size] : c->size;

        template_fill(&made->all[reverse][six][is_tcp][stage][size], c, reverse, six, is_tcp, stage,
                  at_least(wanted, six, is_tcp));
    }
    return made;
}
